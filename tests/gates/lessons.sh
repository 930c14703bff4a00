#!/bin/sh
# Every test that docs/lessons.md names exists: as Suite.Name in one of the test programs, or as a test of ctest.
# usage: lessons.sh SOURCE_DIR BUILD_DIR CTEST TEST_PROGRAM...
set -eu
lessons=$1/docs/lessons.md build=$2 ctest=$3
shift 3
there=$(
  "$ctest" --test-dir "$build" --show-only | sed -n 's/^ *Test *#[0-9]*: //p'
  for program; do "$program" --gtest_list_tests; done |
    awk '/^[^ ]/ { sub(/#.*/, ""); sub(/^.*\//, ""); sub(/[ \t]*$/, ""); suite = $0 }
         /^ / { sub(/#.*/, ""); sub(/\/.*/, ""); gsub(/[ \t]/, ""); print suite $0 }'
)
# names stand in the last column, between backticks
named=$(sed -n 's/^| .* |\([^|]*\)|$/\1/p' "$lessons" | grep -o '`[^`]*`' | tr -d '`' | sort -u)
[ -n "$named" ] || { echo "$lessons: no test is named"; exit 1; }
missing=$(printf '%s\n' "$named" | while read -r name; do printf '%s\n' "$there" | grep -qxF "$name" || echo "$name"; done)
[ -z "$missing" ] || { printf 'docs/lessons.md names tests that do not exist:\n%s\n' "$missing"; exit 1; }
echo "$(printf '%s\n' "$named" | wc -l) tests are named and exist"
