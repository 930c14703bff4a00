#!/bin/sh
# Algorithms say what is computed and schedules how: no call of a scheduling method stands in generators/.
# usage: no_schedule_verbs.sh SOURCE_DIR
set -eu
cd "$1"
verbs='vectorize|tile|unroll|split|fuse|reorder|reorder_storage|parallel|serial|atomic|rfactor|specialize|prefetch|async'
verbs="$verbs|gpu_[a-z_]+|compute_(at|root|inline|with)|store_(in|at|root)|hoist_storage|fold_storage|bound_storage"
verbs="$verbs|align_(bounds|storage|extent)|memoize"
found=$(grep -n -E "(\.|->) *($verbs) *\(" generators/* || true)
[ -z "$found" ] || { printf 'scheduling in generators/; it belongs in schedules/:\n%s\n' "$found"; exit 1; }
