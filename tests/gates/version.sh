#!/bin/sh
# Everything that tells a version tells that of the header.
# usage: version.sh READELF SOURCE_DIR BUILD_DIR SHARED_LIBRARY
set -eu
readelf=$1 source=$2 build=$3 shared=$4
version=$(sed -n 's/^#define LATHE_VERSION_[A-Z]* \([0-9]*\)$/\1/p' "$source/runtime/lathe.h" | paste -sd.)
printf '%s\n' "$version" | grep -qx '[0-9]*\.[0-9]*\.[0-9]*' || { echo "lathe.h: expected three numbers, got $version"; exit 1; }
same() {
  [ "$2" = "$3" ] || { echo "$1: expected $2, got $3"; exit 1; }
}
same CHANGELOG.md "$version" "$(sed -n 's/^## \([0-9.]*\).*/\1/p' "$source/CHANGELOG.md" | head -1)"
same lathe.pc "$version" "$(sed -n 's/^Version: //p' "$build/lathe.pc")"
same lathe-config-version.cmake "$version" "$(sed -n 's/^set(PACKAGE_VERSION "\(.*\)")/\1/p' "$build/lathe-config-version.cmake")"
same 'the name of the shared library' "liblathe.so.${version%%.*}" "$("$readelf" -d "$shared" | sed -n 's/.*(SONAME).*\[\(.*\)\]/\1/p')"
same 'examples/CMakeLists.txt' "${version%.*}" "$(sed -n 's/^find_package(lathe \([0-9.]*\).*/\1/p' "$source/examples/CMakeLists.txt")"
