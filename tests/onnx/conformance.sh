#!/bin/sh
# ONNX's LinearAttention against lathe, with onnx and onnxruntime in an environment that is made for this and removed.
# usage: conformance.sh REQUIREMENTS LIBRARY HEADER FOLDER
set -eu
here=$(cd "$(dirname "$0")" && pwd)
requirements=$1 library=$2 header=$3 folder=$4

skip() {
  echo "onnx needs $1"
  exit 77
}

rm -rf "$folder"
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder" >/dev/null 2>&1 || skip "python3-venv"
"$folder/bin/python" -m pip install -q --disable-pip-version-check -r "$requirements" >"$folder/pip.log" 2>&1 ||
  skip "packages that could not be installed: $(tail -n 1 "$folder/pip.log")"
PYTHONDONTWRITEBYTECODE=1 "$folder/bin/python" "$here/conformance.py" "$library" "$header"
