"""`python -m medseg.inference.probe`: does PyTorch work here, and on what? Prints one JSON object."""

import json
import sys


def examine() -> dict[str, object]:
    """Load PyTorch and run a convolution on the device that "auto" would choose."""
    try:
        import torch
    except ImportError as fault:
        return {"works": False, "why": f"{fault}; install it with: pip install 'medseg[inference]'"}
    from medseg.inference.device import choose, cpu_has_bfloat16

    device = choose("auto")
    ones = torch.ones((1, 1, 8, 8, 8), device=device.device)
    total = float(torch.nn.functional.conv3d(ones, ones[:, :, :3, :3, :3]).sum())
    return {
        "works": total == 27.0 * 6**3,
        "why": device.reason,
        "version": torch.__version__,
        "device": device.name,
        "bfloat16": cpu_has_bfloat16() if device.device.type == "cpu" else torch.cuda.is_bf16_supported(),
        "threads": torch.get_num_threads(),
    }


if __name__ == "__main__":
    sys.stdout.write(json.dumps(examine()))
