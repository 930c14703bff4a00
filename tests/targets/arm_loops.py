"""What docs/arm.md says of the loops that multiply matrices, held against the kernels as they are.
usage: arm_loops.py LATHE FOLDER"""
import json
import pathlib
import subprocess
import sys

SHARES = {"neoverse-n1": 0.90, "neoverse-n2": 0.90, "neoverse-v1": 0.85, "neoverse-v2": 0.90}
# of the best of a Cortex-A53, as OpenBLAS 0.3.21's own loop for it has it under the same model
SHARES["cortex-a53"] = 0.18
MOST_IN_A_LOOP, MOST_ON_AVERAGE = 1.45, 1.36  # instructions for an FMA
KERNELS = "^((causal|causal_normalised):(plain|decay)|state:.*|readout|map:favor)$"
LOOPS_THERE = 16


def main():
    lathe, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / "loops.json"
    command = [lathe, "bench", "--static", "--row", "neon", "--filter", KERNELS, "--json", file]
    code = subprocess.run(command, check=False).returncode
    if code != 0:
        sys.exit(code)
    table = json.loads(file.read_text())
    limits = {p["name"]: p["fmas_per_cycle"] for p in table["processors"]}
    wrong, kernels, seen = [], {}, 0
    for loop in table["loops"]:
        name = f"{loop['kernel']}, {loop['loop']}"
        if loop["fmas"] < 12 or not loop["innermost"] or not loop["loop"].startswith(("product", "numerator", "outer")):
            continue
        seen += 1
        each = loop["instructions"] / loop["fmas"]
        total = kernels.setdefault(loop["kernel"], [0, 0])
        total[0] += loop["rounds"] * loop["instructions"]
        total[1] += loop["rounds"] * loop["fmas"]
        if loop["spills"] or loop["stores"]:
            wrong.append(f"{name}: {loop['spills']} spills, {loop['stores']} stores; expected none")
        if each > MOST_IN_A_LOOP:
            wrong.append(f"{name}: {each:.2f} instructions for an FMA; expected {MOST_IN_A_LOOP} at most")
        for processor, least in SHARES.items():
            share = loop["fmas"] / loop["cycles"][processor] / limits[processor]
            if share < least:
                wrong.append(f"{name}: {share:.2f} of the limit of {processor}; expected {least} at least")
    for kernel, (instructions, fmas) in kernels.items():
        if fmas and instructions / fmas > MOST_ON_AVERAGE:
            wrong.append(f"{kernel}: {instructions / fmas:.2f} instructions for an FMA; expected {MOST_ON_AVERAGE} at most")
    if seen < LOOPS_THERE:
        wrong.append(f"{seen} loops were seen; expected {LOOPS_THERE} at least")
    print("\n".join(wrong) or f"{seen} loops are as they should be")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
