#!/bin/sh
# The shared library exports the functions of lathe.h and nothing else, and exports.map says the same. Neither library
# defines a symbol of Halide that another copy in the same program could collide with.
# usage: exported_symbols.sh NM HEADER EXPORTS_MAP SHARED_LIBRARY STATIC_LIBRARY
set -eu
nm=$1 header=$2 map=$3 shared=$4 static=$5
declared=$(sed -n 's/^LATHE_API [^(]*[ *]\(lathe_[a-z_]*\)(.*/\1/p' "$header" | sort)
listed=$(grep -o 'lathe_[a-z_]*' "$map" | sort)
exported=$("$nm" -D --defined-only "$shared" | sed 's/.* //' | sort)
[ -n "$declared" ] || { echo "no function was found in $header"; exit 1; }
same() {
  [ "$2" = "$3" ] && return
  echo "$1 differs from the functions of lathe.h:"
  printf '%s\n' "$2" "$3" | sort | uniq -u
  exit 1
}
same "$(basename "$map")" "$listed" "$declared"
same "$(basename "$shared")" "$exported" "$declared"
symbols=$("$nm" -A --defined-only --extern-only "$static")
halide=$(printf '%s\n' "$symbols" | grep ' [TDBRC] halide_' || true)
[ -z "$halide" ] || { printf 'symbols of Halide are defined in the static library:\n%s\n' "$halide"; exit 1; }
echo "exported: $(echo "$declared" | wc -l) functions"
