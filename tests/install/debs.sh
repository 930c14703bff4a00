#!/bin/sh
# The Debian packages hold what they should, need what they should, and unpacked they serve a stranger's program.
# usage: debs.sh CMAKE NINJA C_COMPILER SOURCE_DIR BUILD_DIR WORK_DIR
set -eu
cmake=$1 ninja=$2 cc=$3 source=$4 build=$5 work=$6
command -v dpkg-deb >/dev/null || { echo "install/debs needs dpkg-deb"; exit 77; }
rm -rf "$work"
mkdir -p "$work/debs"
"$(dirname "$cmake")/cpack" --config "$build/CPackConfig.cmake" -B "$work/debs" >"$work/cpack.log"

holds() { # PACKAGE FILE-PATTERN...: these files and no others
  deb=$(find "$work/debs" -maxdepth 1 -name "$1_*.deb")
  [ -n "$deb" ] || { echo "$1: no such package was made"; exit 1; }
  package=$1
  shift
  files=$(dpkg-deb --fsys-tarfile "$deb" | tar -tf - | grep -v '/$')
  for pattern; do
    printf '%s\n' "$files" | grep -qx "$pattern" || { printf '%s: no %s among\n%s\n' "$package" "$pattern" "$files"; exit 1; }
    files=$(printf '%s\n' "$files" | grep -vx "$pattern" || true)
  done
  [ -z "$files" ] || { printf '%s: nobody asked for\n%s\n' "$package" "$files"; exit 1; }
  dpkg-deb -x "$deb" "$work/root"
}
needs() { # PACKAGE DEPENDENCY-PATTERN
  told=$(dpkg-deb -f "$(find "$work/debs" -maxdepth 1 -name "$1_*.deb")" Depends)
  printf '%s\n' "$told" | grep -qx "$2" || { echo "$1: expected to depend on $2 and nothing else, got '$told'"; exit 1; }
}
version=$(sed -n 's/^#define LATHE_VERSION_[A-Z]* \([0-9]*\)$/\1/p' "$source/runtime/lathe.h" | paste -sd.)
major=${version%%.*}
library='\./usr/lib/.*liblathe\.so'
holds "liblathe$major" "$library\.$major" "$library\.$version" '\./usr/share/doc/.*/LICENSE'
holds liblathe-dev '\./usr/include/lathe\.h' "$library" '\./usr/lib/.*liblathe\.a' '\./usr/lib.*/pkgconfig/lathe\.pc' \
  '\./usr/lib.*/cmake/lathe/lathe-[a-z-]*\.cmake'
needs "liblathe$major" 'libc6\( (>= [0-9.]*)\)\?'
needs liblathe-dev "liblathe$major (= $version)"

mv "$work/root/usr" "$work/prefix"
exec sh "$source/tests/install/consumer.sh" "$cmake" "$ninja" "$cc" "$source" "$work"
