"""What a library with LATHE_CUBINS holds of a CUDA row, as NVIDIA's own cuobjdump lists it: for each kernel one fatbin, in
it the PTX, and machine code of the same functions for every architecture once."""
import argparse
import pathlib
import re
import struct
import subprocess
import sys

FIRST, LAST = 75, 120  # of the architectures that `all` means
HEADER = struct.Struct("<IHHQ")  # magic, version, bytes of the header and of what follows
MAGIC = HEADER.pack(0xBA55ED50, 1, HEADER.size, 0)[:8]


def fatbins_of(library):
    at = library.find(MAGIC)
    while at >= 0:
        end = at + HEADER.size + HEADER.unpack_from(library, at)[-1]
        yield library[at:end]
        at = library.find(MAGIC, end)


def told(*command):
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def known_to(ptxas, oldest):
    numbers = {int(n) for n in re.findall(r"'sm_(\d+)'", told(ptxas, "--help"))}
    return [n for n in sorted(numbers) if max(oldest, FIRST) <= n <= LAST]


def contents_of(cuobjdump, file):
    """The kernel's name, and for each entry (PTX or not, architecture, functions)."""
    listing = told(cuobjdump, "-ptx", "-res-usage", file)
    entries = re.split(r"^Fatbin (ptx|elf) code:$", listing, flags=re.MULTILINE)[1:]
    name, found = set(), []
    for kind, text in zip(entries[::2], entries[1::2]):
        name |= set(re.findall(r"^identifier = (\S+)$", text, flags=re.MULTILINE))
        functions = re.findall(r"^(?:\.visible )?\.entry (\w+)\(|^ Function (\w+):$", text, flags=re.MULTILINE)
        found.append((kind == "ptx", int(re.search(r"^arch = sm_(\d+)$", text, flags=re.MULTILINE)[1]),
                      sorted(a or b for a, b in functions)))
    return " ".join(sorted(name)), found


def faults_of(name, entries, oldest, expected):
    if [architecture for is_ptx, architecture, _ in entries if is_ptx] != [oldest]:
        yield f"{name}: expected PTX for sm_{oldest} once, got {entries}"
    architectures = [architecture for is_ptx, architecture, _ in entries if not is_ptx]
    if architectures != expected:
        yield f"{name}: expected machine code for {expected}, got {architectures}"
    functions = {tuple(functions) for _, _, functions in entries}
    if len(functions) != 1 or functions == {()}:
        yield f"{name}: expected the same functions in all of it, got {functions}"


def main():
    parser = argparse.ArgumentParser(description=" ".join(__doc__.split()))
    parser.add_argument("tools", type=pathlib.Path, help="the folder of cuobjdump and ptxas")
    parser.add_argument("library", type=pathlib.Path)
    parser.add_argument("row", type=pathlib.Path, help="the folder of the row's kernels, named as the row")
    parser.add_argument("folder", type=pathlib.Path, help="where fatbins may lie")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    oldest = int(options.row.name.removeprefix("cuda_"))
    expected = known_to(options.tools / "ptxas", oldest)
    library = options.library.read_bytes()
    wrong, names = [], []
    for fatbin in fatbins_of(library):
        file = options.folder / "kernel.fatbin"
        file.write_bytes(fatbin)
        name, entries = contents_of(options.tools / "cuobjdump", file)
        names.append(name)
        wrong += faults_of(name, entries, oldest, expected)
    kernels = sorted(file.stem for file in options.row.glob("*.inc"))
    if sorted(names) != kernels:
        differ = sorted(set(names) ^ set(kernels)) or [n for n in set(names) if names.count(n) > 1]
        wrong.append(f"expected one fatbin for each of {len(kernels)} kernels, got {len(names)}; these differ: {differ}")
    if b".address_size 64" in library:
        wrong.append("expected PTX in fatbins alone, got some as text")
    print("\n".join(wrong) or f"{len(names)} fatbins of PTX and of {len(expected)} architectures")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
