"""Breaks kernels and runtime in named ways, one at a time, and sees whether the suite notices.

A copy of the sources is built for one row; each mutation of mutations.py is written into it, what it reaches is built
again, and the suite runs until something fails. Results are kept: a kill stands while the mutated file does, a survivor
is tried again. Succeeds when at least 90 % are killed and every survivor has its reason in the table.
"""

import collections
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).parent
sys.path.insert(0, str(HERE.parent / "copied"))
import tree as copied  # noqa: E402
from mutations import MUTATIONS  # noqa: E402

WANTED = 0.9
PROGRAMS = {"lathe_tests": "*", "lathe_dispatch_test": "*", "lathe_memory_tests": "-Tokens.*"}  # and which tests of it
Verdict = collections.namedtuple("Verdict", "killed by")


class Lab:
    """The copy, built for one row."""

    def __init__(self, tree, row):
        self.tree, self.row, self.patience = tree, row, 3600
        # which case fails is all that is asked of a random one, not its smallest form
        self.environment = {**os.environ, "LATHE_TARGET": row, "RC_PARAMS": "seed=1 max_success=400 noshrink=1"}

    def prepare(self):
        self.tree.restore()
        self.tree.configure({"LATHE_TARGETS": self.row})
        start = time.monotonic()
        verdict = self.test()
        if verdict.killed:
            raise copied.Failed(f"the suite fails without any mutation: {verdict.by}")
        self.patience = 60 + 3 * (time.monotonic() - start)

    def mutate(self, mutation, likely):
        path = self.tree.source / mutation.file
        text = path.read_text()
        path.write_text(text.replace(mutation.old, mutation.new))
        try:
            return self.test(likely)
        finally:
            path.write_text(text)

    def test(self, likely=()):
        """By the first test that fails, crashes or hangs, of the likely ones before all others."""
        for program in PROGRAMS:
            self.tree.ninja(program)
        # without a pattern the filter would stand for everything
        for chosen in [{program: names for program in PROGRAMS} for names in likely if names] + [PROGRAMS]:
            for program, tests in chosen.items():
                found_by = self.fails(program, tests)
                if found_by:
                    return Verdict(True, found_by)
        return Verdict(False, "")

    def fails(self, program, tests):
        """What of the tests does, or nothing."""
        command = [self.tree.build / "bin" / program, "--gtest_fail_fast", f"--gtest_filter={tests}"]
        try:
            done = subprocess.run(command, cwd=self.tree.build, env=self.environment,
                                  text=True, errors="replace", stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=self.patience)
            said, how = done.stdout, "" if done.returncode >= 0 else "crash in "
        except subprocess.TimeoutExpired as slow:
            done, said, how = None, (slow.stdout or b"").decode(errors="replace"), "hang in "
        if done is not None and done.returncode == 0:
            return ""
        seen = re.findall(r"^\[  FAILED  \] ([\w/.]+)" if not how else r"^\[ RUN      \] ([\w/.]+)", said, re.M)
        return how + (seen[0 if not how else -1] if seen else program)


def finders(known, name):
    """Patterns of tests, the likeliest first: what found this mutation, what found any."""
    def of(results):
        return ":".join(sorted({result["by"].rpartition(" ")[2] for result in results if result["killed"]}))
    return [of([known[name]] if name in known else []), of(known.values())]


def digest(tree, mutation):
    text = (tree.origin / mutation.file).read_text()
    return hashlib.sha256(repr((text, mutation)).encode()).hexdigest()


def check_anchors(source):
    for mutation in MUTATIONS:
        found = (pathlib.Path(source) / mutation.file).read_text().count(mutation.old)
        if found != 1:
            raise copied.Failed(f"mutation '{mutation.name}': expected {mutation.old!r} once in {mutation.file}, "
                                f"found {found} times; bring its row up to date")


def report(results):
    rows = ["| file | what is wrong | found by |", "|---|---|---|"]
    for m in MUTATIONS:
        if m.name in results:
            by = results[m.name]["by"] or f"**survives**: {m.why or 'no reason is known'}"
            rows.append(f"| `{m.file}` | {m.name} | {'`' + by + '`' if results[m.name]['by'] else by} |")
    killed = sum(result["killed"] for result in results.values())
    rows += ["", f"{killed} of {len(results)} killed."]
    return "\n".join(rows)


def write_report(path, results):
    begin, end = "<!-- mutations:begin -->", "<!-- mutations:end -->"
    text = pathlib.Path(path).read_text()
    if begin not in text or end not in text:
        raise copied.Failed(f"{path}: expected the lines {begin} and {end}")
    text = f"{text.split(begin)[0]}{begin}\n{report(results)}\n{end}{text.split(end)[1]}"
    pathlib.Path(path).write_text(text)


def main():
    arguments = copied.parser(__doc__)
    arguments.add_argument("--only", help="the mutation of this name, whatever was found before")
    arguments.add_argument("--report", help="write the table into this file, between its markers")
    given = arguments.parse_args()
    chosen = [m for m in MUTATIONS if given.only in (None, m.name)]
    if not chosen:
        sys.exit(f"--only {given.only}: no mutation of that name; mutations.py has them")
    tree = copied.open_tree(given)
    kept = tree.source.parent / "results.json"
    known = json.loads(kept.read_text()) if kept.exists() else {}
    try:
        check_anchors(tree.origin)
        lab = Lab(tree, given.row)
        stands = {name for name, result in known.items() if result["killed"]}
        waiting = [m for m in chosen if given.only or m.name not in stands or known[m.name]["of"] != digest(tree, m)]
        waiting.sort(key=lambda m: m.name in known)  # a run may be cut short: what was never tried comes first
        if waiting:
            lab.prepare()
        unbuilt = []
        for number, mutation in enumerate(waiting, 1):
            start = time.monotonic()
            try:
                verdict = lab.mutate(mutation, finders(known, mutation.name))
            except copied.Failed as failure:
                print(f"'{mutation.name}' does not build; change its row\n{failure}", flush=True)
                unbuilt.append(mutation.name)
                continue
            print(f"[{number}/{len(waiting)}] {'killed' if verdict.killed else 'SURVIVED'}: {mutation.name}"
                  f"{' (' + verdict.by + ')' if verdict.killed else ''}, {time.monotonic() - start:.0f} s", flush=True)
            known[mutation.name] = {**verdict._asdict(), "of": digest(tree, mutation)}
            kept.write_text(json.dumps(known, indent=1))
        results = {m.name: known[m.name] for m in MUTATIONS if m.name in known}
        if given.report:
            write_report(given.report, results)
    except copied.Failed as failure:
        sys.exit(str(failure))
    killed = sum(results[m.name]["killed"] for m in chosen if m.name not in unbuilt)
    unexplained = [m.name for m in chosen if m.name not in unbuilt and not results[m.name]["killed"] and not m.why]
    print(f"{killed} of {len(chosen)} killed", *(f"survives without a reason: {name}" for name in unexplained),
          *(f"does not build: {name}" for name in unbuilt), sep="\n")
    sys.exit(0 if killed >= WANTED * len(chosen) and not unexplained and not unbuilt else 1)


main()
