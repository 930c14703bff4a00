#!/bin/sh
# A record that cannot be meant is refused with its file and line, before anything is built from it.
# usage: records_test.sh LATHE_GEN CMAKE NINJA MODULES FOLDER
set -eu
gen=$1 cmake=$2 ninja=$3 modules=$4 folder=$5
rm -rf "$folder"
mkdir -p "$folder"
record=$folder/avx2.json

# refused WORDS < record: the generator's complaint holds the words
refused() {
  cat >"$record"
  if "$gen" --kernel state --axis plain --row avx2 --records "$folder" --out "$folder/out" 2>"$folder/said"; then
    echo "was taken: $1"; exit 1
  fi
  grep -qF "$1" "$folder/said" || { echo "expected '$1', got:"; cat "$folder/said"; exit 1; }
}
with() {
  cat <<TEXT
{
 "schema": "lathe.tuned/1",
 "row": "avx2",
 "configurations": [
  {
   "uarch": "generic",
   "chunk": 48,
   "kernels": {
    "state": {
     "params": {
      $1
     }
    }
   }
  }
 ]
}
TEXT
}
with '"no_such_knob": 1' | refused "avx2.json:11: unknown knob 'no_such_knob': expected one of"
with '"unroll": 5' | refused "avx2.json:11: unroll = 5 is not legal: expected one of"
with '"unroll": "4"' | refused "avx2.json:11: unroll is \"4\": expected a whole number"
with '"unroll": 4' | sed 's/"chunk": 48/"chunk": 47/' | refused "avx2.json:7: chunk = 47 is not legal"
with '"unroll": 4' | sed 's/"chunk": 48,//' | refused "avx2.json: expected 'chunk' here"
with '"unroll": 4' | sed 's/tuned.1/tuned\/0/' | refused "avx2.json:2: the schema is \"lathe.tuned/0\", expected \"lathe.tuned/1\"; tune this row again"
with '"unroll": 4 4' | refused "avx2.json: "

# the same while CMake configures, where nothing was built of the schedules but their spaces
cat >"$folder/check.cmake" <<TEXT
cmake_minimum_required(VERSION 3.25)
set(PROJECT_SOURCE_DIR "$modules/..")
set(LATHE_GEN_EXECUTABLE "$gen")
include("$modules/lathe_kernels.cmake")
lathe_check_records("$record")
TEXT
mkdir -p "$folder/project"
printf 'cmake_minimum_required(VERSION 3.25)\nproject(records NONE)\ninclude(%s/check.cmake)\n' "$folder" >"$folder/project/CMakeLists.txt"
configured() { "$cmake" -S "$folder/project" -B "$folder/project/build" -G Ninja -DCMAKE_MAKE_PROGRAM="$ninja" >"$folder/said" 2>&1; }
# not_configured WORDS < record
not_configured() {
  cat >"$record"
  if configured; then echo "the configuration went through: $1"; exit 1; fi
  tr '\n' ' ' <"$folder/said" | tr -s ' ' | grep -qF "$1" || { echo "expected '$1', got:"; cat "$folder/said"; exit 1; }
}
with '"unroll": 4' | sed 's/tuned.1/tuned\/0/' | not_configured 'avx2.json:2: the schema is "lathe.tuned/0", expected "lathe.tuned/1"; tune this row again'
with '"no_such_knob": 1' | not_configured "avx2.json:11: unknown knob 'no_such_knob': expected one of"
with '"unroll": 5' | not_configured "avx2.json:11: unroll = 5 is not legal: expected one of"
with '"row_tile": 16, "column_vectors": 4' | not_configured "avx2.json:9: state: violates: accumulators and a row of operands fit the registers"
with '"unroll": 4' | sed 's/"state"/"no_such_kernel"/' | not_configured "avx2.json:9: no kernel is called 'no_such_kernel': expected one of"
with '"unroll": 4' | sed 's/"row": "avx2"/"row": "avx512"/' | not_configured 'avx2.json:3: the row is "avx512", expected "avx2"'
with '"unroll": 4 4' | not_configured "avx2.json: "
with '"unroll": 4' >"$record"
configured || { cat "$folder/said"; exit 1; }

# and what is right is taken, an instance's own numbers before its kernel's
with '"unroll": 4' | sed 's/"state": {/"state:plain": {"params": {"unroll": 2}}, "state": {/' >"$record"
"$gen" --kernel state --axis plain --row avx2 --records "$folder" --out "$folder/out"
grep -q 'unroll=2' "$folder"/out/*.inc
"$gen" --kernel state --axis decay --row avx2 --records "$folder" --out "$folder/decay"
grep -q 'unroll=4' "$folder"/decay/*.inc
grep -q 'chunk=48' "$folder"/decay/*.inc

# an instance that is none is refused before Halide could make something of it
refused_words() {
  if "$gen" --kernel "$1" $2 --row avx512 --out "$folder/out" 2>"$folder/said"; then echo "$1 $2 was generated"; exit 1; fi
  grep -qF -e "$3" "$folder/said" || { echo "expected '$3', got:"; cat "$folder/said"; exit 1; }
}
refused_words state "--axis elu1" "--axis 'elu1': expected one of plain, decay"
refused_words state "" "--axis '': expected one of plain, decay"
refused_words readout "--axis plain" "readout has one instance, and no axis"
refused_words no_such_kernel "" "unknown kernel 'no_such_kernel': expected one of"

# a tile that does not divide its chunk's rows would be stored past them
refused_words map "--axis elu1 --set chunk=24 --set row_tile=16 --set column_vectors=1" "violates: row_tile divides the chunk"

# rows that are transposed have code of their own for strides of a chunk, of 64 and of 128, which may be the same
for chunk in 48 64 128; do
  "$gen" --kernel transpose --row avx2 --records "$folder/none" --set chunk=$chunk --out "$folder/out" ||
    { echo "a chunk of $chunk: expected a kernel"; exit 1; }
done
