#!/bin/sh
# A command that wants NVIDIA's assembler, which is fetched once.
# usage: ptxas.sh SOURCES FOLDER COMMAND ...
set -eu
sources=$1 folder=$2
shift 2
"$sources/bench/cuda/fetch.sh" "$folder" >/dev/null 2>&1 || {
  echo "cuda needs ptxas: bench/cuda/fetch.sh could not fetch it"
  exit 77
}
exec "$@"
