#!/bin/sh
# A kernel imports nothing: it can be linked anywhere and nothing in it allocates, locks or prints. Two functions of
# libc are granted, since LLVM turns loops that write zeros or copy into calls of them, and every C library has both.
# usage: kernel_imports.sh NM OBJECT...
set -eu
nm=$1
shift
imports=$("$nm" -u -A "$@")
imports=$(printf '%s\n' "$imports" | grep ' U ' | grep -v -E ' U (memset|memcpy)$' || true)
[ -z "$imports" ] || { printf 'kernels import more than memset and memcpy:\n%s\n' "$imports"; exit 1; }
echo "$# objects import nothing but memset and memcpy"
