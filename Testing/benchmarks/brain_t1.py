"""The default model against its authors' own program, on heads of the user's: same masks? how long?

    python Testing/benchmarks/brain_t1.py HEAD.nii.gz... > Testing/benchmarks/results/brain_t1.md

Each head goes through `medseg segment` (one warm worker for all) and through deepbet (warm as well), both on the CPU.
"""

import statistics
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
from deepbet import BrainExtraction

from medseg import files
from medseg.engines import cards
from medseg.engines.client import RemoteSegmenter, WorkerClient
from medseg.geometry import Geometry
from medseg.metrics import dice
from medseg.progress import silent

RUNS = 5


def main() -> None:
    authors = BrainExtraction(no_gpu=True)
    print("# brain-t1 against deepbet\n")
    print(f"`python Testing/benchmarks/brain_t1.py HEAD...`, CPU, 2 threads, both warm, median of {RUNS} runs, s.\n")
    print("| head | voxels | Dice against deepbet | same grid as the input | medseg | deepbet | deepbet / medseg |")
    print("|---|---|---|---|---|---|---|")
    with WorkerClient() as worker:
        brain = RemoteSegmenter(cards.find("brain-t1"), worker, "cpu", "pytorch")
        for path in map(Path, sys.argv[1:]):
            print(row(path, brain, authors), flush=True)


def row(path: Path, brain: RemoteSegmenter, authors: BrainExtraction) -> str:
    image = files.read_image(path)
    ours, theirs = [], []
    for _ in range(RUNS + 1):
        began = time.perf_counter()
        found = brain.predict([image], silent).segmentation
        ours.append(time.perf_counter() - began)
        began = time.perf_counter()
        _, mask, _ = authors.run(nib.load(path))
        theirs.append(time.perf_counter() - began)
    agreement = dice(found.mask(found.segments[0]), np.asarray(mask.dataobj).T > 0)
    same = "yes" if found.geometry.same_as(Geometry.of(image)) else "NO"
    name = "/".join(path.parts[-2:])
    a, b = statistics.median(ours[1:]), statistics.median(theirs[1:])
    size = "x".join(map(str, image.GetSize()))
    return f"| {name} | {size} | {agreement:.4f} | {same} | {a:.2f} | {b:.2f} | {b / a:.2f} |"


if __name__ == "__main__":
    main()
