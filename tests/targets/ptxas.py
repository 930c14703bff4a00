"""Every kernel of a CUDA row through NVIDIA's own assembler, and docs/gpu.md, whose table is what it says."""
import argparse
import json
import pathlib
import subprocess
import sys

FUNCTIONS, OPERATORS = "ptxas", "operators"  # the tables, each between its marks
# those in which the time of a call goes
SHOWN = ("causal:plain", "causal:decay", "causal_normalised:plain", "states", "states_decay", "state:plain",
         "state:decay", "readout", "decode", "map:elu1", "map:favor")
KERNELS_THERE = 90
MOST_SHARED = 48 * 1024
WHOLE_SCORES = ("causal:plain", "causal_normalised:plain")
# whose loops are tiles of FMAs, by the most loads for each: tiles of eight by eight, and of four by four
HOT = {"causal:plain": 0.07, "state:plain": 0.07, "readout": 0.07, "states": 0.13}
LEAST_FMAS = 0.8  # of a loop's instructions
WIDTH = 64  # of keys and values
TOKEN, STATE = 4 * 4 * WIDTH, 2 * 4 * WIDTH * WIDTH  # bytes of a token's rows, and of a state that is read and written
# that move so many bytes once, in one function of vectors
ONCE = {"decode": STATE + TOKEN, "decode_keys": STATE + TOKEN, "decode_before": STATE + TOKEN,
        "decode_momentum": 2 * STATE + TOKEN,
        "delta_step": STATE + TOKEN, "delta_step_keys": STATE + TOKEN, "rank_one_step": STATE + TOKEN,
        "sum_step": 16 * TOKEN}  # sums of keys of 16 heads, read and written, and as many queries and keys
LEAST_COMPULSORY = 0.95  # of what is moved
# of what is touched, by vectors: where two heads have a warp their lists and numbers are more beside their rows
LEAST_WIDE, LEAST_WIDE_OF = 0.95, {"sum_step": 0.9}
# what a multiprocessor must have asked for to keep its memory busy
IN_FLIGHT = {"sm_80": 10 * 1024, "sm_90": 16 * 1024}


def is_modelled(function):
    return any(a.get("model") for a in function["architectures"].values())


def table_of(functions):
    """In the document's words: registers of a thread and the warps that run at once, by architecture."""
    names = list(functions[0]["architectures"])
    heads = ["kernel", "threads", "shared", f"flops per instruction, {functions[0]['listed']}", *names]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for kernel in SHOWN:
        # of a kernel's functions the one that does its work where it is called with 64 columns: the others fill tables,
        # or are for calls with more
        work = max((f for f in functions if f["kernel"] == kernel),
                   key=lambda f: (is_modelled(f), f["mix"]["instructions"]))
        hot = work["hot_loop"]
        cells = [f"`{kernel}`", str(work["threads"]), str(work["shared"]),
                 f"{hot['flops'] / hot['instructions']:.2f}" if hot["flops"] else ""]
        for a in work["architectures"].values():
            share = "" if a["occupancy"] is None else f", {100 * a['occupancy']:.0f} %"
            cells.append(f"{a['registers']}{share}")
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def operators_of(operators):
    """The launches of the causal forward down, GPUs and widths across."""
    heads = ["launch", *(f"{o['gpu']}, K = V = {o['K']}" for o in operators)]
    lines = ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for launches in zip(*(o["launches"] for o in operators)):
        cells = [f"`{launches[0]['kernel']}`"]
        for one in launches:
            cells.append(f"{1e6 * one['seconds']:.0f} us, {100 * one['share']:.0f} %, {one['binds']}")
        lines.append("| " + " | ".join(cells) + " |")
    for name, limit in (("(a) all, of the sum of their limits", "sum_of_limits"),
                        ("(b) all, of the operator's limit", "own_limit"),
                        (f"the same with chunks of {operators[0]['chunk']}", "limit_of_chunk")):
        cells = [name, *(f"{1e6 * o['seconds']:.0f} us, {100 * o[limit] / o['seconds']:.0f} %" for o in operators)]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines) + "\n"


def faults_of(functions, listed):
    kernels = {f["kernel"] for f in functions}
    if len(kernels) < KERNELS_THERE:
        yield f"{len(kernels)} kernels; expected {KERNELS_THERE} at least"
    for f in functions:
        name = f"{f['kernel']}, {f['function']}"
        if f["threads"] < 1 or not 0 <= f["shared"] <= MOST_SHARED:
            yield f"{name}: {f}"
        for architecture, a in f["architectures"].items():
            if a["registers"] < 1 or a["spills"]:
                yield f"{name} on {architecture}: {a}"
        if f["kernel"] in WHOLE_SCORES and f["shared"] < 1:
            yield f"{name}: its blocks share nothing; expected scores"
    for kernel, moves in ONCE.items() if listed else ():
        of_kernel = [f for f in functions if f["kernel"] == kernel]
        least_wide = LEAST_WIDE_OF.get(kernel, LEAST_WIDE)
        if len(of_kernel) != 1:
            yield f"{kernel}: {len(of_kernel)} functions; expected one"
        for architecture, least in IN_FLIGHT.items():
            for model in (f["architectures"].get(architecture, {}).get("model") for f in of_kernel):
                if not model or moves < LEAST_COMPULSORY * model["moved"] or model["wide"] < least_wide or \
                        model["in_flight"] < least:
                    yield (f"{kernel} on {architecture}: {model}; expected {moves} bytes to be {LEAST_COMPULSORY} of "
                           f"those moved, {least_wide} of what is touched by vectors, and {least} bytes in flight")
    for kernel, most_loads in HOT.items() if listed else ():
        hot = max((f["hot_loop"] for f in functions if f["kernel"] == kernel), key=lambda loop: loop["fma"])
        loads = hot["shared"] + hot["global"]
        if hot["fma"] < LEAST_FMAS * hot["instructions"] or loads > most_loads * hot["fma"]:
            yield (f"{kernel}: {hot['fma']} FMAs and {loads} loads in a loop of {hot['instructions']} instructions; "
                   f"expected FMAs to be {LEAST_FMAS} of them, and at most {most_loads} loads for each")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("lathe")
    parser.add_argument("row")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--mcpu", help="architectures, all if not given")
    parser.add_argument("--brief", action="store_true", help="without listings of instructions")
    parser.add_argument("--table", type=pathlib.Path, help="the document whose table must be this one")
    parser.add_argument("--operators", type=pathlib.Path, help="the same for the table of the operator's launches")
    parser.add_argument("--write", action="store_true", help="tables are written instead")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    file = options.folder / f"{options.row}.json"
    command = [options.lathe, "bench", "--static", "--row", options.row, "--json", file]
    if options.mcpu:
        command += ["--mcpu", options.mcpu]
    if options.brief:
        command += ["--brief"]
    code = subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode
    if code != 0:
        sys.exit(code)
    made = json.loads(file.read_text())
    functions = made["functions"]
    wrong = list(faults_of(functions, not options.brief))
    for document, name, table in ((options.table, FUNCTIONS, lambda: table_of(functions)),
                                  (options.operators, OPERATORS, lambda: operators_of(made["operators"]))):
        if not document:
            continue
        begin, end = f"<!-- {name}:begin -->\n", f"<!-- {name}:end -->\n"
        before, rest = document.read_text().split(begin)
        shown, after = rest.split(end)
        if options.write:
            document.write_text(before + begin + table() + end + after)
        elif shown != table():
            wrong.append(f"{document} shows another table; with --write it is written:\n{table()}")
    print("\n".join(wrong) or f"{len(functions)} functions are as they should be")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
