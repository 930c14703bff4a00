#!/bin/sh
# ptxas.py with its assembler, which is fetched once.
# usage: ptxas.sh SOURCES FOLDER PYTHON LATHE ROW ...
set -eu
sources=$1 folder=$2 python=$3
shift 3
"$sources/bench/cuda/fetch.sh" "$folder" >/dev/null 2>&1 || {
  echo "cuda needs ptxas: bench/cuda/fetch.sh could not fetch it"
  exit 77
}
exec "$python" -B "$sources/tests/targets/ptxas.py" "$@"
