#!/bin/sh
# Kernels add up and do not multiply: a row of the whole library stays below 200 objects.
# 150 was the limit before gradients, which add one object for each map and ten for all.
# usage: object_count.sh OBJECT...      (…/<row>/<symbol>.o)
set -eu
limit=200
[ $# -gt 0 ] || { echo "no objects were given"; exit 1; }
for object; do basename "$(dirname "$object")"; done | sort | uniq -c | while read -r count row; do
  echo "$row: $count objects"
  [ "$count" -lt $limit ] || { echo "$row: expected fewer than $limit objects, got $count"; exit 1; }
done
