#!/bin/sh
# The shared and the static library let out the functions of lathe.h and nothing else, and exports.map says the same.
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
same "$(basename "$static")" "$("$nm" --defined-only --extern-only "$static" | sed -n 's/.* [A-Za-z] //p' | sort)" "$declared"
echo "exported: $(echo "$declared" | wc -l) functions"
