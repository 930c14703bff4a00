#!/bin/sh
# The gate runs the commands that the README tells a newcomer to type, all of them and no others.
# usage: readme_commands.sh SOURCE_DIR
set -eu
cd "$1"
told=$(sed -n '/<!-- commands:begin -->/,/<!-- commands:end -->/s/^\(\.\/lathe [a-z]*\).*/\1/p' README.md | sort)
run=$(sed -n 's/^\(\.\/lathe [a-z]*\).*/\1/p' .ci/run | sort)
[ -n "$told" ] || { echo "README.md: no command between the commands markers"; exit 1; }
[ "$told" = "$run" ] || { printf 'README.md says:\n%s\n.ci/run runs:\n%s\n' "$told" "$run"; exit 1; }
