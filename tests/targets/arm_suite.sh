#!/bin/sh
# The choice of rows and the suite under the emulator; $QEMU_CPU tells it the processor, $LATHE_TARGET pins the row.
# usage: arm_suite.sh EMULATOR FOLDER_OF_PROGRAMS [options of the suite]
set -eu
emulator=$1 programs=$2
shift 2
"$emulator" "$programs/lathe_dispatch_test"
exec "$emulator" "$programs/lathe_tests" "$@"
