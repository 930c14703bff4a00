#!/bin/sh
# The tuner ranks a CUDA kernel's candidates without a GPU, and claims neither a time nor a verification.
# usage: sass_sweep.sh LATHE FOLDER
set -eu
lathe=$1 folder=$2
rm -rf "$folder"
sweep() { "$lathe" tune state:plain --row cuda_80 --tune-for sm_80 --measure sass --strategy random --evals 3 --out "$folder" "$@"; }
fail() {
  echo "$1"
  exit 1
}
code=0
sweep --mcpu sm_80 || code=$?
# improved, or nothing better
[ $code = 0 ] || [ $code = 5 ] || fail "the sweep ended with $code"
result=$(cat "$folder"/*/result.json)
for expected in '"fidelity": "static-sass"' '"metric": "modelled_ps_per_token"' '"verified": "nothing was run"'; do
  echo "$result" | grep -q "$expected" || fail "no $expected in the result: $result"
done
echo "$result" | grep -q '"vs_default"' && fail "a time is claimed: $result"
rated=$(cat "$folder"/*/shard-*.jsonl | grep -c '"cost":[1-9]') || true
[ "$rated" -ge 3 ] || fail "$rated candidates have a modelled time; expected 3 at least"
sweep --mcpu sm_75 2>"$folder/refused" && fail "a GPU that the model does not know is not refused"
grep -q "sm_80 or sm_90" "$folder/refused" || fail "the refusal does not say what is known: $(cat "$folder/refused")"
