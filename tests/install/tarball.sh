#!/bin/sh
# The source tarball holds what git holds and no more, and configures with nothing but itself and Halide's wheel. With
# `build`, its libraries and its command are also built, for one row, and serve a stranger's program.
# usage: tarball.sh configure|build CMAKE NINJA C_COMPILER SOURCE_DIR BUILD_DIR HALIDE_ROOT ROW WORK_DIR
set -eu
until=$1 cmake=$2 ninja=$3 cc=$4 source=$5 build=$6 halide=$7 row=$8 work=$9
rm -rf "$work"
mkdir -p "$work"
"$(dirname "$cmake")/cpack" --config "$build/CPackSourceConfig.cmake" -B "$work" >"$work/cpack.log"
tarball=$(find "$work" -maxdepth 1 -name 'lathe-*.tar.gz')
name=$(basename "$tarball" .tar.gz)
if git -C "$source" rev-parse --is-inside-work-tree >/dev/null 2>&1; then
  tar -tf "$tarball" | sed -n "s#^$name/\(.*[^/]\)\$#\1#p" | sort >"$work/held"
  git -C "$source" ls-files --cached --others --exclude-standard | sort >"$work/kept"
  diff "$work/kept" "$work/held" || { echo "the tarball (>) does not hold what git keeps (<)"; exit 1; }
fi
tar -xf "$tarball" -C "$work"
# a proxy that nobody answers: whoever fetches anything fails
export http_proxy=http://127.0.0.1:9 https_proxy=http://127.0.0.1:9
"$cmake" -S "$work/$name" -B "$work/build" -G Ninja -DCMAKE_MAKE_PROGRAM="$ninja" -DCMAKE_C_COMPILER="$cc" \
  -DLATHE_HALIDE_ROOT="$halide" -DLATHE_TARGETS="$row" -DLATHE_TUNE_FOR=generic \
  -DLATHE_TESTS="$([ "$until" = build ] && echo OFF || echo ON)" >"$work/configure.log"
[ "$until" = build ] || exit 0
"$cmake" --build "$work/build" >"$work/build.log"
exec sh "$work/$name/tests/install/tree.sh" "$cmake" "$ninja" "$cc" "$work/$name" "$work/build" "$work/tree"
