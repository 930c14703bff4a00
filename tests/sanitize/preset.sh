#!/bin/sh
# One of the presets asan, tsan and ubsan: configured, built and run in a folder of its own.
# usage: preset.sh CMAKE CTEST NINJA SOURCE_DIR LATHE_GEN HALIDE_ROOT WORK_DIR PRESET
set -eu
cmake=$1 ctest=$2 ninja=$3 source=$4 gen=$5 halide=$6 work=$7 preset=$8
cd "$source"
"$cmake" --preset "$preset" -B "$work" -DCMAKE_MAKE_PROGRAM="$ninja" -DLATHE_GEN_EXECUTABLE="$gen" -DLATHE_HALIDE_ROOT="$halide"
"$cmake" --build "$work"
exec "$ctest" --test-dir "$work" --output-on-failure
