"""Whole-volume inference against MONAI's stock `sliding_window_inference`, float32: same network, window and overlap.

    python Testing/benchmarks/volume.py            # both tables, about 15 minutes on 2 cores
    python Testing/benchmarks/volume.py --only memory

Speed: the brain of the shipped head (Colin 27, cut to 144x176x144), two MONAI networks briefly trained here to tell
grey matter, white matter and fluid apart (so that labels have real borders; they are for this benchmark alone). Each
engine runs in a process of its own, as it would in use, and the runs alternate. Ours is what the worker does: its
allocator setting, bfloat16 where the processor has it, and OpenVINO where it is installed.

Memory: a 512x512x512 volume, 14 classes, peak resident memory of the whole process and above the input.
"""

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / "build" / "benchmarks"
NETWORKS = {
    "BasicUNet": {"spatial_dims": 3, "in_channels": 1, "out_channels": 4},
    "UNet": {
        "spatial_dims": 3,
        "in_channels": 1,
        "out_channels": 4,
        "channels": [16, 32, 64, 128, 256],
        "strides": [2, 2, 2, 2],
        "num_res_units": 2,
        "norm": "batch",
    },
}
ENGINES = ("stock float32", "medseg float32", "medseg bfloat16", "medseg OpenVINO float32", "medseg OpenVINO bfloat16")
WINDOW, OVERLAP = (96, 96, 96), 0.5


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", choices=("speed", "memory"))
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--engine", help=argparse.SUPPRESS)
    parser.add_argument("--network", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.engine:
        child_memory(options.engine) if options.only == "memory" else child_speed(options.engine, options.network)
        return
    lines = ["# Whole-volume inference", "", machine(), ""]
    if options.only != "memory":
        lines += speed(options.runs)
    if options.only != "speed":
        lines += memory()
    print("\n".join(lines))
    if not options.only:
        (HERE / "results").mkdir(exist_ok=True)
        (HERE / "results" / "volume.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


def machine() -> str:
    cpu = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        "",
    )
    where = cpu or platform.processor()
    return f"`python Testing/benchmarks/volume.py` on {where}, 2 threads, {time.strftime('%Y-%m-%d')}."


def child(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, __file__, *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
    )


def ask(process: subprocess.Popen[str]) -> dict[str, float]:
    assert process.stdin
    assert process.stdout
    process.stdin.write("run\n")
    answer: dict[str, float] = json.loads(process.stdout.readline())
    return answer


# ---- speed


def speed(runs: int) -> list[str]:
    lines = [
        f"## Speed: 144x176x144, window {WINDOW[0]}^3, overlap {OVERLAP}, median of {runs} alternating runs",
        "",
        "| network | engine | seconds (min to max) | times stock | lowest Dice of a class against stock |",
        "|---|---|---|---|---|",
    ]
    for network in NETWORKS:
        trained(network)
        processes = {engine: child("--only", "speed", "--engine", engine, "--network", network) for engine in ENGINES}
        seconds: dict[str, list[float]] = {engine: [] for engine in ENGINES}
        for process in processes.values():
            ask(process)  # loads, compiles, warms up
        for _ in range(runs):
            for engine, process in processes.items():
                seconds[engine].append(ask(process)["seconds"])
        for process in processes.values():
            process.communicate("")
        stock = statistics.median(seconds[ENGINES[0]])
        for engine, times in seconds.items():
            middle = statistics.median(times)
            spread = f"{middle:.2f} ({min(times):.2f} to {max(times):.2f})"
            lines.append(
                f"| {network} | {engine} | {spread} | {stock / middle:.2f} | {agreement(network, engine):.4f} |"
            )
    return [*lines, ""]


def agreement(network: str, engine: str) -> float:
    import numpy as np

    ours, stock = np.load(saved(network, engine)), np.load(saved(network, ENGINES[0]))
    return min(2 * ((ours == c) & (stock == c)).sum() / ((ours == c).sum() + (stock == c).sum()) for c in range(4))


def saved(network: str, engine: str) -> Path:
    return CACHE / f"{network} {engine}.npy"


def child_speed(engine: str, network_name: str) -> None:
    if engine.startswith("medseg"):
        from medseg.engines.allocator import keep_freed_memory

        keep_freed_memory()
    import numpy as np
    import torch

    torch.set_num_threads(2)
    volume = torch.from_numpy(np.load(CACHE / "volume.npy"))
    run = runner(engine, load(network_name))
    for _line in sys.stdin:
        began = time.perf_counter()
        labels = run(volume)
        seconds = time.perf_counter() - began
        np.save(saved(network_name, engine), labels)
        print(json.dumps({"seconds": seconds}), flush=True)


def runner(engine: str, network, window=WINDOW, overlap=OVERLAP):
    import torch

    if engine.startswith("stock"):
        from monai.inferers import sliding_window_inference

        def stock(volume):
            with torch.inference_mode():
                outputs = sliding_window_inference(volume[None], window, 1, network, overlap, mode="gaussian")
                return outputs.argmax(1)[0].numpy().astype("uint8")

        return stock
    from medseg.inference.openvino import CompiledNetwork
    from medseg.inference.volume import Plan, labels, predict
    from medseg.inference.windows import Windows
    from medseg.progress import silent

    half = engine.endswith("bfloat16")
    compiled = CompiledNetwork(network, half) if "OpenVINO" in engine else network
    dtype = torch.bfloat16 if half and compiled is network else torch.float32
    plan = Plan(Windows(window, overlap), dtype=dtype)
    return lambda volume: predict(compiled, volume, plan, labels, silent).numpy()


def load(name: str):
    import torch
    from safetensors.torch import load_file

    from medseg.inference.networks import architecture

    network = architecture(name, dict(NETWORKS[name]))
    network.load_state_dict(load_file(CACHE / f"{name}.safetensors"))
    torch.manual_seed(0)
    return network.eval()


def trained(name: str, steps: int = 150) -> None:
    """Train a network to copy tissue classes made from the brain mask and intensities; kept for the next run."""
    target = CACHE / f"{name}.safetensors"
    if target.is_file():
        return
    import numpy as np
    import torch
    from safetensors.torch import save_file

    from medseg.inference.networks import architecture

    CACHE.mkdir(parents=True, exist_ok=True)
    voxels, tissue = example()
    np.save(CACHE / "volume.npy", voxels)
    torch.manual_seed(0)
    random = np.random.default_rng(0)
    network = architecture(name, dict(NETWORKS[name])).train()
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    for _ in range(steps):
        start = [int(random.integers(0, n - 64)) for n in tissue.shape]
        crop = tuple(slice(s, s + 64) for s in start)
        outputs = network(torch.from_numpy(voxels[(slice(None), *crop)])[None])
        loss = torch.nn.functional.cross_entropy(outputs, torch.from_numpy(tissue[crop])[None])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    print(f"{name}: trained for {steps} steps, last loss {float(loss):.3f}", file=sys.stderr)
    save_file(network.state_dict(), target)


def example():
    """The shipped head, z-scored, axes (channel, i, j, k), and three tissue classes inside its brain mask."""
    import numpy as np
    from scipy.cluster.vq import kmeans2

    from medseg import files, resources
    from medseg.engines import cards
    from medseg.engines.catalog import open_segmenter
    from medseg.progress import silent

    image = files.read_image(resources.shipped() / "SampleData" / "colin27_t1.nii.gz")
    import SimpleITK as sitk

    found = open_segmenter(cards.find("brain-t1"), "cpu", "pytorch").predict([image], silent).segmentation
    voxels = sitk.GetArrayFromImage(image).T.astype(np.float32)
    inside = found.mask(found.segments[0]).T
    centres, _ = kmeans2(voxels[inside][:, None], np.quantile(voxels[inside], [0.1, 0.5, 0.9])[:, None], minit="matrix")
    nearest = np.abs(voxels[..., None] - np.sort(centres.ravel())).argmin(-1) + 1
    tissue = np.where(inside, nearest, 0).astype(np.int64)
    voxels = (voxels - voxels.mean()) / voxels.std()
    box = (slice(18, 162), slice(20, 196), slice(10, 154))
    return np.ascontiguousarray(voxels[box])[None], np.ascontiguousarray(tissue[box])


# ---- memory


def memory() -> list[str]:
    lines = [
        "## Memory: 512x512x512, 14 classes, window 96^3, overlap 0.25, labels wanted",
        "",
        "| engine | peak of the process, GB | above the input, GB | share of stock (above the input) | seconds |",
        "|---|---|---|---|---|",
    ]
    found = {}
    for engine in ("stock float32", "medseg float32"):
        process = child("--only", "memory", "--engine", engine)
        found[engine] = ask(process)
        process.communicate("")
    stock = found["stock float32"]
    for engine, use in found.items():
        share = f"{use['peak'] / stock['peak']:.0%} ({use['above'] / stock['above']:.0%})"
        lines.append(f"| {engine} | {use['peak']:.2f} | {use['above']:.2f} | {share} | {use['seconds']:.0f} |")
    return [*lines, ""]


def child_memory(engine: str) -> None:
    if engine.startswith("medseg"):
        from medseg.engines.allocator import keep_freed_memory

        keep_freed_memory()
    import torch

    from medseg.inference.networks import architecture

    torch.set_num_threads(2)
    torch.manual_seed(0)
    small = {"spatial_dims": 3, "in_channels": 1, "out_channels": 14, "channels": [8, 16, 32], "strides": [2, 2]}
    run = runner(engine, architecture("UNet", small).eval(), overlap=0.25)
    run(torch.zeros(1, 96, 96, 96))
    for _line in sys.stdin:
        volume = torch.randn(1, 512, 512, 512)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began = time.perf_counter()
        run(volume)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        seconds = time.perf_counter() - began
        print(json.dumps({"peak": peak / 2**20, "above": (peak - before) / 2**20, "seconds": seconds}), flush=True)


if __name__ == "__main__":
    main()
