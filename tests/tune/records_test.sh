#!/bin/sh
# A record that cannot be meant is refused with its file and line, before anything is built from it.
# usage: records_test.sh LATHE_GEN CMAKE MODULES FOLDER
set -eu
gen=$1 cmake=$2 modules=$3 folder=$4
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

# the same at configure time, for what needs no schedule to be wrong
with '"unroll": 4' | sed 's/tuned.1/tuned\/0/' >"$record"
cat >"$folder/check.cmake" <<TEXT
cmake_minimum_required(VERSION 3.25)
set(PROJECT_SOURCE_DIR "$modules/..")
include("$modules/lathe_kernels.cmake")
lathe_check_records("$record")
TEXT
mkdir -p "$folder/project"
printf 'cmake_minimum_required(VERSION 3.25)\nproject(records NONE)\ninclude(%s/check.cmake)\n' "$folder" >"$folder/project/CMakeLists.txt"
if "$cmake" -S "$folder/project" -B "$folder/project/build" >"$folder/said" 2>&1; then echo "the configuration went through"; exit 1; fi
tr -d '\n' <"$folder/said" | tr -s ' ' | grep -qF 'avx2.json:2: the schema is "lathe.tuned/0"' || { cat "$folder/said"; exit 1; }

# and what is right is taken, an instance's own numbers before its kernel's
with '"unroll": 4' | sed 's/"state": {/"state:plain": {"params": {"unroll": 2}}, "state": {/' >"$record"
"$gen" --kernel state --axis plain --row avx2 --records "$folder" --out "$folder/out"
grep -q 'unroll=2' "$folder"/out/*.inc
"$gen" --kernel state --axis decay --row avx2 --records "$folder" --out "$folder/decay"
grep -q 'unroll=4' "$folder"/decay/*.inc
grep -q 'chunk=48' "$folder"/decay/*.inc
