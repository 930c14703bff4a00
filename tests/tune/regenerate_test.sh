#!/bin/sh
# A row for a processor that is not here: objects of that machine, a header that declares them all, and a record that gives
# the same bytes again. And one of another system.
# usage: regenerate_test.sh LATHE LATHE_GEN CHECKER CC FOLDER
set -eu
lathe=$1 gen=$2 checker=$3 cc=$4 folder=$5
rm -rf "$folder"
"$lathe" regenerate --row neon --tune-for neoverse-n1 --out "$folder/neon"
cd "$folder/neon"
count=$(ls ./*.o | wc -l)
[ "$count" -gt 10 ] || { echo "only $count objects"; exit 1; }
for object in ./*.o; do
  # e_machine: 183 is AArch64
  [ "$(od -An -tu2 -j18 -N2 "$object" | tr -d ' ')" = 183 ] || { echo "$object is not of that machine"; exit 1; }
  symbol=$(basename "$object" .o)
  grep -q "$symbol(" lathe_neon.h || { echo "lathe_neon.h does not declare $symbol"; exit 1; }
  grep -q "LATHE_ENTRY($symbol," lathe_neon.inc || { echo "lathe_neon.inc does not list $symbol"; exit 1; }
done
printf '#include "lathe_neon.h"\n' >header.c
"$cc" -std=c11 -fsyntax-only header.c
names=$(sed -n 's/^LATHE_ENTRY([^,]*, "\([^"]*\)", "\([^"]*\)".*/\1:\2/p' lathe_neon.inc)
# shellcheck disable=SC2086
"$checker" $names -- records/neon.json
"$gen" --kernel causal --axis plain --row neon --records records --tune-for neoverse-n1 --out again
cmp again/lathe_causal_plain_neon.o lathe_causal_plain_neon.o
grep -q 'neon/neoverse-n1' again/*.inc
"$gen" --kernel causal --axis plain --row apple --out apple
# the beginning of a Mach-O file of 64 bits, and its processor's number
[ "$(od -An -tx4 -N8 apple/lathe_causal_plain_apple.o | tr -d ' ')" = feedfacf0100000c ] || { echo "apple's object is no Mach-O"; exit 1; }
