#!/bin/sh
# Halide computes wrong sums, silently, where a Var is called "s" and its Func is vectorised and unrolled inside a tile.
# usage: no_var_s.sh SOURCE_DIR
set -eu
cd "$1"
found=$(grep -n -E '[({,] *"s" *[)},]' generators/* schedules/*.cpp schedules/*.h || true)
[ -z "$found" ] || { printf 'no Var, RDom or Func may be called "s":\n%s\n' "$found"; exit 1; }
