"""`python -m medseg.engines.gl_probe`: can this machine render off screen? Prints one JSON object.

Makes a real EGL context without a display, as VTK does. Run as a process of its own: a broken driver ends it.
"""

import ctypes
import ctypes.util
import json
import sys

_SURFACELESS, _OPENGL_API = 0x31DD, 0x30A2
_RENDERABLE_TYPE, _OPENGL_BIT, _SURFACE_TYPE, _PBUFFER_BIT, _NONE = 0x3040, 0x0008, 0x3033, 0x0001, 0x3038


def examine() -> dict[str, object]:
    """Return {"works": bool, "why": text}; on Windows and macOS OpenGL is part of the system."""
    if not sys.platform.startswith("linux"):
        return {"works": True, "why": "part of the operating system"}
    try:
        egl = ctypes.CDLL("libEGL.so.1")
    except OSError:
        return {"works": False, "why": "libEGL is missing; on Debian and Ubuntu: apt install libegl1 libgl1-mesa-dri"}
    fault = _context_fault(egl)
    return {"works": not fault, "why": fault or "an off-screen context was made"}


def _context_fault(egl: ctypes.CDLL) -> str:
    """Return which step to a context fails, or ""."""
    for function in ("eglGetPlatformDisplay", "eglCreateContext"):
        getattr(egl, function).restype = ctypes.c_void_p
    display = ctypes.c_void_p(egl.eglGetPlatformDisplay(_SURFACELESS, None, None))
    if not egl.eglInitialize(display, None, None):
        return "no off-screen display; on Debian and Ubuntu: apt install libgl1-mesa-dri"
    wanted = (ctypes.c_int * 5)(_RENDERABLE_TYPE, _OPENGL_BIT, _SURFACE_TYPE, _PBUFFER_BIT, _NONE)
    config, count = ctypes.c_void_p(), ctypes.c_int()
    egl.eglChooseConfig(display, wanted, ctypes.byref(config), 1, ctypes.byref(count))
    if not (count.value and egl.eglBindAPI(_OPENGL_API)):
        return "the driver offers no OpenGL"
    return "" if egl.eglCreateContext(display, config, None, None) else "the driver makes no context"


if __name__ == "__main__":
    sys.stdout.write(json.dumps(examine()))
