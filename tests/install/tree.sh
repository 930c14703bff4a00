#!/bin/sh
# What `cmake --install` lays down serves a stranger's program.
# usage: tree.sh CMAKE NINJA C_COMPILER SOURCE_DIR BUILD_DIR WORK_DIR
set -eu
cmake=$1 ninja=$2 cc=$3 source=$4 build=$5 work=$6
rm -rf "$work"
mkdir -p "$work"
"$cmake" --install "$build" --prefix "$work/laid" >"$work/install.log"
mv "$work/laid" "$work/prefix" # whatever remembers where it was installed breaks here
exec sh "$source/tests/install/consumer.sh" "$cmake" "$ninja" "$cc" "$source" "$work"
