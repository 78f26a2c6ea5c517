"""Whether this machine can render off screen. VTK ends in a segmentation fault where it cannot."""

import functools
import json
import subprocess
import sys


@functools.cache
def fault() -> str:
    """Return "" where rendering works, else the reason; asked of another process, which may crash instead of us."""
    ran = subprocess.run(
        [sys.executable, "-m", "medseg.engines.gl_probe"], capture_output=True, text=True, timeout=60, check=False
    )
    if ran.returncode:
        return f"the OpenGL probe ended with {ran.returncode}"
    answer = json.loads(ran.stdout)
    return "" if answer["works"] else str(answer["why"])
