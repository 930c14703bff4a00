#!/bin/sh
# Every kernel that has numbers to tune can be judged: what its defaults make passes the verification.
# usage: kernels_test.sh LATHE FOLDER
set -eu
lathe=$1 folder=$2
mkdir -p "$folder"
"$lathe" tune list | awk 'NR > 1 && NF && !/nothing to tune/ {print $1}' >"$folder/kernels"
[ "$(wc -l <"$folder/kernels")" -ge 5 ] || { echo "expected at least five kernels, got:"; cat "$folder/kernels"; exit 1; }
failed=0
while read -r kernel; do
  "$lathe" tune verify "$kernel" default --out "$folder" || failed=1
done <"$folder/kernels"
exit $failed
