#!/usr/bin/env python3
"""The table of a run of gpu.sh: `table.py FOLDER` reads its JSON, writes results.json, and prints Markdown."""

import json
import pathlib
import sys

NETWORKS = {"64": "`pytorch`, batch 64", "128": "`pytorch`, batch 128", "paper": "`paper`, batch 128"}


def read(folder):
    found = {}
    for path in sorted(folder.glob("*.json")):
        if path.stem != "results" and path.stat().st_size:
            found[path.stem] = json.loads(path.read_text().strip().splitlines()[-1] if path.stem.startswith(("peer", "ceilings")) else path.read_text())
    return found


def row(name, run, best):
    rate = run["images_per_s"]
    beside = f"{rate / best:.2f}" if best else ""
    memory = f"{run['memory_mib']:.0f}" if run.get("memory_mib") else ""
    reply = f"{run['latency_ms_median']:.2f}" if "latency_ms_median" in run else ""
    cells = [name, f"{run['step_ms']:.2f}", f"{rate:.0f}", beside, f"{run['infer1_ms']:.2f}", f"{run['infer64_ms']:.2f}", reply, memory]
    return "| " + " | ".join(cells) + " |"


def main():
    folder = pathlib.Path(sys.argv[1])
    found = read(folder)
    (folder / "results.json").write_text(json.dumps(found, indent=1))
    ours = {k: v for k, v in found.items() if k.split("-")[0] in ("spirv", "wgsl")}
    peers = {k: v for k, v in found.items() if k.startswith("peer")}
    device = next((v["device"] for v in ours.values()), "no card")
    print(f"{device}\n")
    for key, network in NETWORKS.items():
        runs = {k: v for k, v in {**ours, **peers}.items() if k.split("-")[-1] == key}
        if not runs:
            continue
        rates = [v["images_per_s"] for k, v in runs.items() if k in peers]
        best = max(rates, default=None)
        print(f"{network}\n")
        print("| | step, ms | images/s | beside PyTorch's best | one picture, ms | 64 pictures, ms | request to reply, ms | memory, MiB |")
        print("|---|---|---|---|---|---|---|---|")
        for name, run in runs.items():
            label = name.removesuffix(f"-{key}")
            if name in ours:
                label = f"zscape, {label.replace('-', ', ')} ({run['operands']})"
            else:
                label = "PyTorch" + (", compiled" if run["compile"] else ", eager") + (", bf16" if run["bf16"] else ", f32")
            print(row(label, run, best))
        print()
    if "ceilings" in found:
        c = found["ceilings"]
        print(
            f"Ceilings by PyTorch: copies {c['copy_gb_per_s']:.0f} GB/s; multiplies {c['product_f32_tflops']:.0f} TFLOP/s in f32, "
            f"{c['product_tf32_tflops']:.0f} in TF32, {c['product_f16_tflops']:.0f} in f16.\n"
        )
    for precision in ("mixed", "f32"):
        operations = found.get(f"operations-{precision}")
        if not operations:
            continue
        c = operations["ceilings"]
        half = f", {c['product_f16']:.1f} in f16" if c.get("product_f16") else ""
        print(f"Operations of `pytorch` at batch 128, {precision} ({operations['operands']}); Burn's product reaches {c['product_f32']:.1f} TFLOP/s in f32{half}, a copy {c['copy']:.0f} GB/s\n")
        print("| operation | small, large maps; side | ms | TFLOP/s | GB/s | of the nearer ceiling |\n|---|---|---|---|---|---|")
        for entry in operations["operations"]:
            t, s = entry["timing"], entry["timing"]["shape"]
            print(
                f"| {t['operation']} | {s['small']}, {s['large']}; {s['side']} | {t['ms']:.3f} | {t['flop'] / t['ms'] / 1e9:.2f} | "
                f"{t['bytes'] / t['ms'] / 1e6:.0f} | {entry['share_of_ceiling'] * 100:.0f} % |"
            )
        print()


if __name__ == "__main__":
    main()
