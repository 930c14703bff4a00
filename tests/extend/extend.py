"""Does what docs/extend.md says to a copy of the sources: at most two files change, and the suite covers what is new.

Each recipe is a patch beside this file. All are applied, then built together, since most of the time goes into kernels;
then the tests of what each adds are run.
"""

import dataclasses
import os
import pathlib
import re
import shutil
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "copied"))
import tree as copied  # noqa: E402

LIMIT = 2  # files


@dataclasses.dataclass
class Recipe:
    """Which tests see what is added, and the map that is."""

    tests: str
    map: str = ""
    row: str = ""
    outside: bool = False  # the patch fills LATHE_EXTRA_DIR and not the tree


RECIPES = {
    "feature_map": Recipe("*sigmoid*:Lists.*:MapWidth.*", map="sigmoid"),
    "variant": Recipe("*retnet_identity_*:*retnet_elu1_*:*Threads*retnet*:Lists.*:Snapshots.*"),
    # the decays of the variant above are no whole numbers
    "cpu_row": Recipe("*/Exact.*:*Accuracy*_elu1_f32:Lists.*:Dispatch.*-*retnet*", row="avx2_copy"),
    "outside_map": Recipe("*crelu*:Lists.*:MapWidth.*", map="crelu", outside=True),
}


def apply(patch, where):
    """The files that the patch changed. A repository around the copy is none of its business."""
    away = {**os.environ, "GIT_CEILING_DIRECTORIES": str(where.parent)}
    counted = copied.run(["git", "apply", "--numstat", patch], where, env=away)
    changed = [line.split("\t")[2] for line in counted.splitlines()]
    if len(changed) > LIMIT:
        raise copied.Failed(f"{patch.name}: expected at most {LIMIT} files to change, got {', '.join(changed)}")
    copied.run(["git", "apply", patch], where, env=away)
    return changed


def passed(tree, name, recipe, row):
    said = copied.run([tree.build / "bin" / "lathe_tests", f"--gtest_filter={recipe.tests}"], tree.build,
                      env={**os.environ, "LATHE_TARGET": row})
    count = re.search(r"\[  PASSED  \] ([1-9][0-9]*) test", said)
    if not count:
        raise copied.Failed(f"{name}: no test matches {recipe.tests}\n{said}")
    return count[1]


def check(tree, row, recipes):
    tree.restore()
    outside = tree.source.parent / "outside"
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir()
    changed = {name: apply(HERE / f"{name}.patch", outside if recipe.outside else tree.source)
               for name, recipe in recipes.items()}
    row = next((recipe.row for recipe in recipes.values() if recipe.row), row)
    maps = ["identity", "elu1", *(recipe.map for recipe in recipes.values() if recipe.map)]
    tree.configure({"LATHE_TARGETS": row, "LATHE_MAPS": ";".join(maps), "LATHE_EXTRA_DIR": outside})
    tree.ninja("lathe_tests")
    for name, recipe in recipes.items():
        print(f"{name}: {', '.join(changed[name])}; {passed(tree, name, recipe, row)} tests pass on {row}", flush=True)


def main():
    arguments = copied.parser(__doc__)
    arguments.add_argument("--without", default="", help="a recipe that this machine cannot run")
    given = arguments.parse_args()
    recipes = {name: recipe for name, recipe in RECIPES.items() if name != given.without}
    try:
        if {patch.stem for patch in HERE.glob("*.patch")} != set(RECIPES):
            raise copied.Failed(f"the patches beside {pathlib.Path(__file__).name} are not its recipes")
        check(copied.open_tree(given), given.row, recipes)
    except copied.Failed as failure:
        sys.exit(str(failure))


main()
