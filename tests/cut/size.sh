#!/bin/sh
# One causal operator on one row is below 1 MB.
# usage: size.sh STRIP SHARED_LIBRARY
set -eu
strip=$1 library=$2
limit=1000000
"$strip" -o "$library.stripped" "$library"
bytes=$(wc -c <"$library.stripped")
echo "$(basename "$library"), stripped: $bytes bytes"
[ "$bytes" -lt "$limit" ] || { echo "expected fewer than $limit bytes"; exit 1; }
