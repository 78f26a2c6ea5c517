"""What Monte Carlo dropout costs, in passes of the plain network, and how much memory: float32, 14 classes, 10 samples.

    python Testing/benchmarks/sampling.py [--threads 2] [--runs 3]     # on 2 quiet cores about ten minutes

Each row is a process of its own, set up as the worker is; in it plain passes and sampled ones alternate, and the time
of the processor is counted. "naive" runs the whole network for each sample. Peak memory is that of the whole process.

The trained network is the shipped brain-parts with its parts put together to 14 classes, on the shipped head at 2 mm;
where dropout shall be throughout the decoder it is put after each of its blocks (Ledda et al. 2023, "Dropout injection
at test time for post hoc uncertainty quantification"). The other one is MONAI's BasicUNet with random weights, which is
in doubt everywhere: the worst case of what is only computed where there is doubt.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

RESULTS = Path(__file__).parent / "results"
CLASSES, SAMPLES, WINDOW, SIZE = 14, 10, (96, 96, 96), (96, 96, 168)
RATE, WANTED = 0.05, 1e-4
EQUAL = """Difference of the maps from naive sampling with the same masks; wanted: 1e-4. Disagreement counts votes:
where two classes of a sample are equal but for rounding, that sample may vote otherwise, and the count moves by a whole
step."""
TERMS = [[0], *([t, place] for t in (1, 2) for place in (10, 11, 12, 13)), [1, 14], [3], [4], [6], [7]]
LATE, DECODER, RANDOM = "trained, dropout before its last layer", "trained, dropout throughout its decoder", "BasicUNet"
ROWS = {
    LATE: ("late", "dropout", False),
    f"{LATE}, fast": ("late", "dropout", True),
    DECODER: ("decoder", "dropout", False),
    f"{DECODER}, fast": ("decoder", "dropout", True),
    f"{DECODER}, naive": ("decoder", "naive", False),
    f"{RANDOM}, dropout throughout its decoder": ("random", "dropout", False),
    f"{RANDOM}, dropout throughout its decoder, fast": ("random", "dropout", True),
    f"{RANDOM}, dropout throughout its decoder, naive": ("random", "naive", False),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", default="", help="rows that begin so")
    parser.add_argument("--row", help=argparse.SUPPRESS)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    parser.add_argument("--equal", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.row or options.memory_of or options.equal:
        print(json.dumps(asked(options)))
        return
    lines = ["# Monte Carlo dropout", "", *table(options)]
    print("\n".join(lines))
    if not options.only:
        (RESULTS / "sampling.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def asked(options: argparse.Namespace) -> Mapping[str, Any]:
    if options.equal:
        return differences(options.threads)
    if options.row:
        return measured(options.row, options.runs, options.threads)
    return peak(options.memory_of, options.runs, options.threads)


def table(options: argparse.Namespace) -> list[str]:
    lines = [
        f"10 samples of 14 classes, {options.threads} thread(s), {time.strftime('%Y-%m-%d')}. Wanted: 7 passes, "
        "fast 2, memory 1.3 times that of a pass, or less.",
        "",
        "| | plain, s | sampled, s | in passes | plain, MB | sampled, MB | times |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in ROWS:
        if not row.startswith(options.only):
            continue
        threads = ("--threads", str(options.threads))
        found = child("--row", row, "--runs", str(options.runs), *threads)
        plain, sampled = (child("--memory-of", row, "--runs", str(n), *threads)["mb"] for n in (0, 1))
        lines.append(
            f"| {row} | {found['plain']:.1f} | {found['sampled']:.1f} | {found['sampled'] / found['plain']:.2f} "
            f"| {plain:.0f} | {sampled:.0f} | {sampled / plain:.2f} |"
        )
        print(lines[-1], flush=True)
    same = child("--equal", "--threads", str(options.threads))
    told = [f"| {name} | {largest:.1e} | {beyond} of {every} |" for name, (largest, beyond, every) in same.items()]
    return [*lines, "", EQUAL, "", "| | largest difference | voxels beyond 1e-4 |", "|---|---|---|", *told]


def child(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([sys.executable, __file__, *arguments], check=True, capture_output=True, text=True)
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def measured(row: str, runs: int, threads: int) -> dict[str, float]:
    plain, sampled = prepared(row, threads)
    plain()
    times: dict[str, list[float]] = {"plain": [], "sampled": []}
    for _ in range(runs):
        for name, run in (("plain", plain), ("sampled", sampled)):
            began = time.process_time()
            run()
            times[name].append(time.process_time() - began)
    return {name: statistics.median(found) for name, found in times.items()}


def peak(row: str, sampling: int, threads: int) -> dict[str, float]:
    prepared(row, threads)[sampling]()
    return {"mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}


def differences(threads: int) -> dict[str, tuple[float, int, int]]:
    """Largest difference of each map between what is shared and naive sampling, and how many of its voxels differ."""
    found = {}
    for name, row in (("trained", DECODER), (RANDOM, f"{RANDOM}, dropout throughout its decoder")):
        ours, naive = (prepared(each, threads)[1]() for each in (row, f"{row}, naive"))
        for measure, array in ours.measures.items():
            apart = np.abs(array - naive.measures[measure])
            found[f"{name}: {measure.replace('_', ' ')}"] = float(apart.max()), int((apart > WANTED).sum()), apart.size
    return found


def prepared(row: str, threads: int) -> tuple[Callable[[], object], Callable[[], object]]:
    """One plain pass over the volume, and one sampled."""
    from medseg.engines.allocator import keep_freed_memory

    keep_freed_memory()
    import torch

    from medseg.inference import volume
    from medseg.inference.sampling import dropout
    from medseg.inference.sampling.run import sample
    from medseg.inference.windows import Windows
    from medseg.progress import silent
    from medseg.sampling import Sampling

    torch.set_num_threads(threads)
    kind, method, fast = ROWS[row]
    network, how = built(kind), Sampling("dropout", SAMPLES, fast=fast)
    voxels = torch.rand(1, *SIZE, generator=torch.Generator().manual_seed(0)) if kind == "random" else head()
    plan = volume.Plan(Windows(WINDOW if kind == "random" else (80, 96, 80), 0.25))
    made = dropout.naive(network, "softmax", how) if method == "naive" else dropout.dropout(network, "softmax", how, "")
    return (
        lambda: volume.predict(network, voxels, plan, volume.labels, silent),
        lambda: sample(made, voxels, plan, how, card(), silent),
    )


def built(kind: str) -> "object":
    import torch
    from monai.networks.nets import BasicUNet

    if kind != "random":
        return trained(kind)
    torch.manual_seed(0)
    network = BasicUNet(
        spatial_dims=3, in_channels=1, out_channels=CLASSES, features=(16, 16, 32, 64, 128, 16), dropout=0.1
    )
    for name, layer in network.named_modules():
        if hasattr(layer, "p") and not name.startswith("upcat"):
            layer.p = 0.0
    return network.eval()


def trained(kind: str) -> "object":

    from medseg.engines import cards, weights
    from medseg.inference.networks import build

    stored = cards.find("brain-parts")
    arguments = {**stored.card.network["arguments"], "out_channels": CLASSES, "terms": TERMS}
    from dataclasses import replace

    merged = replace(stored.card, network={**stored.card.network, "arguments": arguments})
    network = build(merged, weights.located(stored)["main"]).eval()
    return network if kind == "late" else injected(network)


def injected(network: "object") -> "object":
    """Put dropout after each block of the decoder; the network's own stays where it is."""
    from torch import nn

    class Whole(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = network
            network.dropout.p = RATE
            for up in network.up:
                up.mix.append(nn.Dropout3d(RATE))

        def forward(self, images: "object") -> "object":
            return self.network(images)

    return Whole().eval()


def head() -> "object":
    """The shipped head, prepared as the card says."""
    import torch

    from medseg import files, resources
    from medseg.engines import cards
    from medseg.inference import preprocess

    image = files.read_image(resources.shipped() / "SampleData" / "colin27_t1.nii.gz")
    return torch.from_numpy(preprocess.prepare([image], cards.find("brain-parts").card.preprocessing).voxels)


def card() -> "object":
    from medseg.model_card import Channel, Inference, ModelCard
    from medseg.segmentation import default_segments

    text = ("benchmark",) * 4
    return ModelCard(
        *text, "network", *text[:3], (Channel("T1"),), default_segments(range(1, CLASSES)), (),
        inference=Inference(WINDOW, classes=CLASSES),
    )  # fmt: skip


if __name__ == "__main__":
    main()
