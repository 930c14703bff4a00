#!/bin/sh
# However Halide or LLVM gives up, and whatever is asked of any kernel that it has not, lathe-gen ends with exit code 1 and one
# paragraph that names the kernel.
# usage: compile_errors.sh LATHE_GEN_WITH_BROKEN_KERNELS DIRECTORY
set -eu
gen=$1 directory=$2
row=$(uname -m | sed 's/x86_64/avx2/; s/aarch64/neon/')
rm -rf "$directory"

# refuses TEXT KERNEL [OPTION...]
refuses() {
  text=$1 kernel=$2
  shift 2
  rc=0
  said=$("$gen" --kernel "$kernel" --row "$row" --out "$directory" "$@" 2>&1) || rc=$?
  [ $rc = 1 ] || { printf '%s %s: expected exit code 1, got %s and:\n%s\n' "$kernel" "$*" $rc "$said"; exit 1; }
  case $said in
    "lathe-gen: $kernel "*"for $row"*"$text"*) ;;
    *) printf '%s %s: expected "lathe-gen: %s ... for %s ... %s", got:\n%s\n' "$kernel" "$*" "$kernel" "$row" "$text" "$said"; exit 1 ;;
  esac
  [ "$(printf '%s\n' "$said" | wc -l)" = 1 ] || { printf '%s: expected one paragraph, got:\n%s\n' "$kernel" "$said"; exit 1; }
}
refuses "(chunk=" broken_user_error
refuses "undefined" broken_user_error
refuses "Add of undefined" broken_internal_error
refuses "guaranteed to fail an assertion" broken_bound
refuses "an exception of the algorithm" broken_exception
refuses "an exception in a callback" broken_terminate
refuses "the compiler crashed" broken_abort
refuses "the compiler crashed" broken_crash
refuses "row_tile = 5 is not legal: expected one of" broken_not --set row_tile=5
refuses "row_tile=4x: expected a whole number" broken_not --set row_tile=4x
refuses "unknown knob 'rows'" broken_not --set rows=4
refuses "unknown output kind 'poem'" broken_not --emit poem

refuses "unknown kernel" no_such_kernel
for kernel in $(printf '%s' "${said##*expected one of }" | tr -d ,); do
  refuses "--axis " "$kernel" --axis nope=1
  refuses "--axis " "$kernel" --axis nope=1 --space
  set -- --set nope=1
  case $said in *"expected one of "*) instance=${said##*expected one of } && set -- "$@" --axis "${instance%%,*}" ;; esac
  refuses "unknown knob 'nope'" "$kernel" "$@"
done
[ ! -e "$directory" ] || [ -z "$(ls "$directory")" ] || { echo "files of kernels that failed: $(ls "$directory")"; exit 1; }
"$gen" --kernel broken_not --row "$row" --out "$directory" ||
  { echo "a kernel with nothing wrong was refused as well"; exit 1; }
