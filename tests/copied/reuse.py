"""Compiler launcher: an object of a finished build is taken where command and sources are the same, else compiled.

usage: reuse.py INDEX COMPILER ARGUMENT...      (INDEX: Tree.reusable())
"""

import filecmp
import json
import os
import shlex
import shutil
import sys


def taken(index, arguments):
    """Whether the object was there to take."""
    if "-o" not in arguments or "-MF" not in arguments:
        return False
    output, depfile = arguments[arguments.index("-o") + 1], arguments[arguments.index("-MF") + 1]
    known = index["objects"].get(output)
    if known is None:
        return False
    (tree, build), (copied_tree, copied_build) = index["from"], index["to"]

    def in_copy(path):
        path = os.path.join(build, path)
        if path.startswith(build + os.sep):
            return copied_build + path[len(build):]
        inside = os.path.relpath(path, tree)
        return os.path.join(copied_tree, inside) if inside.split(os.sep)[0] in index["parts"] else path

    plain, words = [], iter(arguments)
    for word in words:
        if word in ("-MT", "-MF"):
            next(words)
        elif word != "-MD":
            plain.append(word.replace(copied_build, build).replace(copied_tree, tree))
    if plain != shlex.split(known["command"]):
        return False
    made = os.path.join(build, output)
    ours = [in_copy(path) for path in known["deps"]]

    def still_holds(theirs, mine):
        theirs = os.path.join(build, theirs)
        return (os.path.exists(mine) and os.path.getmtime(theirs) <= os.path.getmtime(made)
                and (theirs == mine or filecmp.cmp(theirs, mine, shallow=False)))

    if not all(map(still_holds, known["deps"], ours)):
        return False
    shutil.copyfile(made, output)
    with open(depfile, "w", encoding="utf-8") as file:
        file.write(f"{output}: " + " ".join(ours) + "\n")
    return True


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        index = json.load(file)
    command = sys.argv[2:]
    if not taken(index, command):
        os.execvp(command[0], command)


main()
