"""A copy of the sources that may be changed and built without touching the tree.

Objects that a change does not reach come from a finished build of the tree: reuse.py.
"""

import argparse
import filecmp
import json
import os
import pathlib
import shutil
import subprocess
import sys

PARTS = [".gitignore", "CMakeLists.txt", "LICENSE", "bench/shapes.def", "cli", "cmake", "docs/operators.md", "examples",
         "generators", "runtime", "schedules", "tests", "autotune"]


class Failed(Exception):
    """What a command that failed had to say."""


def run(command, cwd, **options):
    """The output of a command that must succeed."""
    done = subprocess.run([str(word) for word in command], cwd=cwd, text=True, errors="replace",
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **options)
    if done.returncode != 0:
        raise Failed(f"{' '.join(map(str, command))}\n{done.stdout[-6000:]}")
    return done.stdout


def files_of(root, parts):
    for part in parts:
        path = root / part
        for file in [path] if path.is_file() else path.rglob("*"):
            if file.is_file() and "__pycache__" not in file.parts:
                yield file.relative_to(root)


class Tree:
    """folder/src and folder/build, beside the tree at `source`, of which `build` is a finished build."""

    def __init__(self, source, build, folder, make, cmake="cmake"):
        self.origin, self.origin_build = pathlib.Path(source), pathlib.Path(build)
        self.source, self.build = pathlib.Path(folder) / "src", pathlib.Path(folder) / "build"
        self.make, self.cmake = make, cmake
        self.build.mkdir(parents=True, exist_ok=True)

    def restore(self):
        """As the tree is now; files that are already the same keep their age, and their objects."""
        wanted = set(files_of(self.origin, PARTS))
        for file in set(files_of(self.source, PARTS)) - wanted:
            (self.source / file).unlink()
        for file in wanted:
            to = self.source / file
            if not to.exists() or not filecmp.cmp(self.origin / file, to, shallow=False):
                to.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(self.origin / file, to)

    def configure(self, settings):
        """Like the finished build, but for `settings`."""
        same = {key: value for key, value in cache_of(self.origin_build).items()
                if key in ("CMAKE_BUILD_TYPE", "CMAKE_CXX_COMPILER", "CMAKE_CXX_FLAGS", "LATHE_HALIDE_INCLUDE",
                            "LATHE_HALIDE_LIBRARY", "LATHE_TUNE_FOR")}
        index = self.build / "reusable.json"
        index.write_text(json.dumps(self.reusable()))
        launcher = f"{sys.executable};{pathlib.Path(__file__).with_name('reuse.py')};{index}"
        settings = {**same, "CMAKE_MAKE_PROGRAM": self.make, "CMAKE_CXX_COMPILER_LAUNCHER": launcher,
                    "LATHE_TOOLS": "OFF", "LATHE_ASSERTING_TWINS": "none", "LATHE_EXTRA_DIR": "", **settings}
        run([self.cmake, "-S", self.source, "-B", self.build, "-G", "Ninja",
             *(f"-D{key}={value}" for key, value in settings.items())], self.build)

    def reusable(self):
        """What reuse.py must know of the finished build."""
        commands = json.loads((self.origin_build / "compile_commands.json").read_text())
        deps, output = {}, None
        for line in run([self.make, "-t", "deps"], self.origin_build).splitlines():
            if line.startswith("    "):
                deps[output].append(line.strip())
            elif "(VALID)" in line:
                output = line.split(":")[0]
                deps[output] = []
        return {"from": [str(self.origin), str(self.origin_build)], "to": [str(self.source), str(self.build)],
                "parts": PARTS, "objects": {c["output"]: {"command": c["command"], "deps": deps[c["output"]]}
                                            for c in commands if c.get("output") in deps}}

    def ninja(self, *words):
        return run([self.make, *words], self.build)


def cache_of(build):
    """The values that a build was configured with."""
    values = {}
    for line in (pathlib.Path(build) / "CMakeCache.txt").read_text().splitlines():
        name, equals, value = line.partition("=")
        if equals and not line.startswith(("#", "//")):
            values[name.split(":")[0]] = value
    return values


def parser(about):
    arguments = argparse.ArgumentParser(description=about)
    arguments.add_argument("--source", required=True, help="the tree")
    arguments.add_argument("--build", required=True, help="a finished build of it")
    arguments.add_argument("--folder", required=True, help="where the copy goes")
    arguments.add_argument("--row", required=True, help="the row of targets.def to build")
    return arguments


def open_tree(given):
    """The copy that the command line asks for."""
    cache = cache_of(given.build)
    return Tree(given.source, given.build, os.path.abspath(given.folder), cache["CMAKE_MAKE_PROGRAM"],
                cache["CMAKE_COMMAND"])
