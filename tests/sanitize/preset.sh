#!/bin/sh
# One of the presets asan, tsan, ubsan and fuzz: configured, built and run in a folder of its own.
# usage: preset.sh CMAKE CTEST NINJA SOURCE_DIR LATHE_GEN HALIDE_ROOT WORK_DIR PRESET
set -eu
cmake=$1 ctest=$2 ninja=$3 source=$4 gen=$5 halide=$6 work=$7 preset=$8
if [ "$preset" = fuzz ]; then
  mkdir -p "$work"
  echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' >"$work/probe.cpp"
  clang++ -fsanitize=address,fuzzer "$work/probe.cpp" -o "$work/probe" 2>"$work/probe.log" || {
    echo "sanitize/fuzz needs clang++ with libFuzzer (Debian: clang libclang-rt-14-dev)"
    exit 77
  }
fi
cd "$source"
"$cmake" --preset "$preset" -B "$work" -DCMAKE_MAKE_PROGRAM="$ninja" -DLATHE_GEN_EXECUTABLE="$gen" -DLATHE_HALIDE_ROOT="$halide"
"$cmake" --build "$work"
exec "$ctest" --test-dir "$work" --output-on-failure --parallel 2
