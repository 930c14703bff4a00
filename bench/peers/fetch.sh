#!/bin/sh
# Fetches the benchmark's peers by package and builds them: fetch.sh [FOLDER [--torch | --python]]. FOLDER is build/peers
# beside the sources if not given; --torch adds PyTorch, some gigabytes; --python leaves out what must be compiled.
# Each peer stands alone: one that cannot be had is named here, and the benchmark skips it.
set -u
here=$(cd "$(dirname "$0")" && pwd)
cache=${1:-$here/../../build/peers}
mkdir -p "$cache/sources" || exit 1
cache=$(cd "$cache" && pwd)
missing=0

give_up() {
  echo "peers: $1" >&2
  missing=1
}

python=$cache/venv/bin/python
if [ ! -x "$python" ]; then
  python3 -m venv "$cache/venv" || { give_up "no virtual environment: install python3-venv"; exit 1; }
fi
"$python" -m pip install -q --disable-pip-version-check -r "$here/requirements.txt" ||
  give_up "numpy and onnxruntime could not be installed"
if [ "${2:-}" = --torch ]; then
  "$python" -m pip install -q --disable-pip-version-check torch==2.15.0 || give_up "torch could not be installed"
fi

# the Python ones are all that the demo races
[ "${2:-}" = --python ] && exit $missing

# pip asks a source package for its metadata before it saves it, which runs the package's build system (and imports
# torch). The stand-in build systems answer from the PKG-INFO that every source package carries.
sdist() { # sdist NAME VERSION FOLDER [MEMBER...]
  name=$1 version=$2 folder=$cache/sources/$3
  shift 3
  [ -e "$folder/PKG-INFO" ] && return 0
  rm -rf "$cache/download"
  PYTHONPATH=$here/standins "$python" -m pip download -q --disable-pip-version-check --no-deps --no-binary :all: \
    --no-build-isolation --use-pep517 --no-cache-dir -d "$cache/download" "$name==$version" || return 1
  mkdir -p "$folder" && tar -xzf "$cache"/download/*.tar.gz -C "$folder" --strip-components=1 --wildcards "$@" || return 1
  rm -rf "$cache/download"
}
sdist pytorch-fast-transformers 0.4.0 pytorch_fast_transformers '*/PKG-INFO' '*/fast_transformers/causal_product/*' ||
  give_up "the sources of fast-transformers could not be fetched"
sdist llama-cpp-python 0.3.36 llama_cpp_python '*/PKG-INFO' '*/vendor/llama.cpp/ggml/*' ||
  give_up "the sources of ggml could not be fetched"

if cmake -S "$here" -B "$cache/build" -DLATHE_PEER_SOURCES="$cache/sources" >"$cache/build.log" 2>&1; then
  for peer in ggml fast_transformers; do
    cmake --build "$cache/build" --target ${peer}_peer --parallel >>"$cache/build.log" 2>&1 ||
      give_up "$peer was not built: see $cache/build.log"
  done
else
  give_up "the compiled peers could not be configured: see $cache/build.log"
fi
touch "$cache/tried"
exit $missing
