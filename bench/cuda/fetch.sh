#!/bin/sh
# Fetches NVIDIA's assembler and disassembler by package, and what joins code of several architectures and lists it, for
# `lathe bench --static` of a CUDA row and for LATHE_CUBINS: fetch.sh [FOLDER]. FOLDER is build/cuda beside the sources if not
# given. No GPU is needed, and nothing is installed elsewhere.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cache=${1:-$here/../../build/cuda}
wanted=$(cat "$here/requirements.txt")
[ "$(cat "$cache/fetched" 2>/dev/null)" = "$wanted" ] && exit 0

stop() {
  echo "cuda: $1" >&2
  exit 1
}

rm -rf "$cache"
python3 -m venv "$cache/venv" || stop "no virtual environment: install python3-venv"
"$cache/venv/bin/python" -m pip install -q --disable-pip-version-check --no-deps --target "$cache" \
  -r "$here/requirements.txt" || stop "ptxas could not be fetched"
rm -rf "$cache/venv"
printf '%s\n' "$wanted" >"$cache/fetched"
