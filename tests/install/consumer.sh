#!/bin/sh
# A stranger's program against an installed lathe: by find_package and by pkg-config, static and shared, from C alone.
# usage: consumer.sh CMAKE NINJA C_COMPILER SOURCE_DIR WORK_DIR     (the installed tree is WORK_DIR/prefix, moved there)
# LATHE_EMULATOR runs the programs where they are another architecture's, and CMAKE_TOOLCHAIN_FILE says which.
set -eu
cmake=$1 ninja=$2 cc=$3 source=$4 work=$5 emulator=${LATHE_EMULATOR:-}
# From the definition, in float64: -0.066215 1.517250.
expected='-0.066 1.517'
version=$(sed -n 's/^#define LATHE_VERSION_[A-Z]* \([0-9]*\)$/\1/p' "$source/runtime/lathe.h" | paste -sd.)

cp -r "$source/examples" "$work/example"

compare() {
  # shellcheck disable=SC2086
  printed=$($emulator "$2") || { echo "$1: the program failed"; exit 1; }
  [ "$printed" = "$expected" ] || { echo "$1: expected '$expected', got '$printed'"; exit 1; }
  echo "$1: $printed"
}

"$cmake" -S "$work/example" -B "$work/build" -G Ninja -DCMAKE_MAKE_PROGRAM="$ninja" -DCMAKE_C_COMPILER="$cc" \
  -DCMAKE_PREFIX_PATH="$work/prefix" -DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF >"$work/configure.log"
"$cmake" --build "$work/build"
compare 'find_package, static' "$work/build/link_static"
compare 'find_package, shared' "$work/build/link_shared"

# shellcheck disable=SC2086
$emulator "$work/build/train" | awk '{ print } NR == 1 { first = $4 } END { exit !($4 < first / 5) }' ||
  { echo "train: expected a fifth of the first loss at the end"; exit 1; }

PKG_CONFIG_PATH=$(dirname "$(find "$work/prefix" -name lathe.pc)")
export PKG_CONFIG_PATH
told=$(pkg-config --modversion lathe)
[ "$told" = "$version" ] || { echo "pkg-config: expected version $version, got $told"; exit 1; }
libraries=$(pkg-config --variable=libdir lathe)
flags='-std=c11 -Wall -Wextra -Werror'
# shellcheck disable=SC2046,SC2086
"$cc" $flags $(pkg-config --cflags lathe) "$work/example/link.c" $(pkg-config --libs lathe) -Wl,-rpath,"$libraries" -o "$work/by_pc_shared"
compare 'pkg-config, shared' "$work/by_pc_shared"
# shellcheck disable=SC2046,SC2086
"$cc" $flags $(pkg-config --cflags lathe) "$work/example/link.c" \
  $(pkg-config --static --libs lathe | sed 's/-llathe/-l:liblathe.a/') -o "$work/by_pc_static"
compare 'pkg-config, static' "$work/by_pc_static"

find "$work/prefix" -iname LICENSE -o -iname copyright | grep -q . || { echo "the licence is not installed"; exit 1; }
grep -rlF -e "$work/laid" -e "$source" "$work/prefix" --include='*.cmake' --include='*.pc' &&
  { echo "these installed files name a folder of the build machine"; exit 1; }
exit 0
