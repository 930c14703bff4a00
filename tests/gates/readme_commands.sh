#!/bin/sh
# The gate runs a command that the README tells a newcomer to type, and nothing else.
# usage: readme_commands.sh SOURCE_DIR
set -eu
cd "$1"
told=$(sed -n '/<!-- commands:begin -->/,/<!-- commands:end -->/s/^\(\.\/lathe [a-z]*\).*/\1/p' README.md)
run=$(sed -n 's/^\(\.\/lathe [a-z]*\)/\1/p' .ci/run)
[ -n "$told" ] || { echo "README.md: no command between the commands markers"; exit 1; }
[ "$run" = "./lathe test" ] || { printf '.ci/run: expected only ./lathe test, got:\n%s\n' "$run"; exit 1; }
echo "$told" | grep -qx "$run" || { printf 'README.md does not tell to type %s\n' "$run"; exit 1; }
