#!/usr/bin/env python3
"""OpenBLAS's sgemm loops for 64-bit ARM, for `lathe bench --static --beside` to rate. The package is Debian's: downloaded
and unpacked into the folder, not installed.
usage: openblas_loops.py FOLDER          (Debian: apt binutils-aarch64-linux-gnu)"""
import pathlib
import re
import subprocess
import sys

PACKAGE = "libopenblas0-pthread"
KERNELS = ("NEOVERSEN1", "CORTEXA53")
BRANCH = re.compile(r"(?:b(?:\.\w+)?|bl|br|ret|cbn?z|tbn?z)\b")


def output(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def unpacked(folder):
    here = output("dpkg", "--print-architecture").strip()
    uri = output("apt-get", "download", "--print-uris", PACKAGE).split("'")[1].replace(f"_{here}.deb", "_arm64.deb")
    deb = folder / "openblas.deb"
    subprocess.run(["/usr/lib/apt/apt-helper", "download-file", uri, deb], check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["dpkg-deb", "-x", deb, folder / "openblas"], check=True)
    return next((folder / "openblas").rglob("libopenblasp-*.so"))


def instructions(library, symbol):
    """(address, text) of each."""
    listing = output("aarch64-linux-gnu-objdump", "-d", "--no-show-raw-insn", f"--disassemble={symbol}", library)
    for line in listing.splitlines():
        if found := re.match(r"\s+([0-9a-f]+):\t(.*)", line):
            yield int(found[1], 16), re.sub(r"\s*(//|<).*", "", found[2])


def hottest_loop(code):
    """The innermost loop with the most multiplications."""
    at = {address: n for n, (address, _) in enumerate(code)}
    best = []
    for n, (_, text) in enumerate(code):
        found = re.fullmatch(r"b\.\w+\s+([0-9a-f]+)", text)
        first = at.get(int(found[1], 16), n) if found else n
        body = [text for _, text in code[first : n + 1]]
        if first >= n or any(BRANCH.match(text) for text in body[:-1]):
            continue
        if sum("fmla" in text for text in body) > sum("fmla" in text for text in best):
            best = body
    return [*best[:-1], best[-1].split()[0] + " .Lbegin"]


def main():
    folder = pathlib.Path(sys.argv[1])
    folder.mkdir(parents=True, exist_ok=True)
    library = unpacked(folder)
    for kernel in KERNELS:
        body = hottest_loop(list(instructions(library, f"sgemm_kernel_{kernel}")))
        file = folder / f"openblas_{kernel.lower()}.s"
        file.write_text("".join(f"\t{text}\n" for text in body))
        print(file)


if __name__ == "__main__":
    main()
