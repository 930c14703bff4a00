"""Does what docs/extend.md says to a copy of the sources: at most two files change, and the suite covers what is new.

Each recipe is a patch beside this file: it is applied, what it adds is built, and the tests of that are run.
"""

import dataclasses
import os
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "copied"))
import tree as copied  # noqa: E402

LIMIT = 2  # files


@dataclasses.dataclass
class Recipe:
    """Which tests see what is added, and the maps that they need."""

    tests: str
    maps: str
    row: str = ""  # that is added
    outside: bool = False  # the patch fills LATHE_EXTRA_DIR and not the tree


RECIPES = {
    "feature_map": Recipe("*sigmoid*:Lists.*:MapWidth.*", "identity;sigmoid"),
    "variant": Recipe("*retnet_identity_*:*retnet_elu1_*:*Threads*retnet*:Lists.*:Snapshots.*", "identity;elu1"),
    "cpu_row": Recipe("*/Exact.*:*Accuracy*_elu1_f32:Lists.*:Dispatch.*", "identity;elu1", row="avx2_copy"),
    "outside_map": Recipe("*crelu*:Lists.*:MapWidth.*", "identity;crelu", outside=True),
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


def check(recipe, patch, tree, row):
    tree.restore()
    outside = tree.source.parent / "outside"
    if recipe.outside:
        for file in outside.rglob("*.*"):
            file.unlink()
        outside.mkdir(exist_ok=True)
    changed = apply(patch, outside if recipe.outside else tree.source)
    row = recipe.row or row
    tree.configure({"LATHE_TARGETS": row, "LATHE_MAPS": recipe.maps,
                    "LATHE_EXTRA_DIR": outside if recipe.outside else ""})
    tree.ninja("lathe_tests")
    said = copied.run([tree.build / "bin" / "lathe_tests", f"--gtest_filter={recipe.tests}"], tree.build,
                      env={**os.environ, "LATHE_TARGET": row})
    passed = re.search(r"\[  PASSED  \] ([1-9][0-9]*) test", said)
    if not passed:
        raise copied.Failed(f"no test matches {recipe.tests}\n{said}")
    print(f"{patch.stem}: {', '.join(changed)}; {passed[1]} tests pass on {row}")


def main():
    arguments = copied.parser(__doc__)
    arguments.add_argument("recipe", choices=RECIPES)
    given = arguments.parse_args()
    try:
        check(RECIPES[given.recipe], HERE / f"{given.recipe}.patch", copied.open_tree(given), given.row)
    except copied.Failed as failure:
        sys.exit(str(failure))


main()
