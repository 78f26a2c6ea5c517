"""PythonQt's behaviour over PySide6: `qt` and `ctk` as module code sees them in Slicer.

PySide6 classes are changed in place, so that Python subclasses and identity work as they do there. Runs under an
emulation of PythonQt, not in Slicer; where the two are known to differ, `harness_tests` lists it with the reason.
Nothing else may import PySide6 before this package.
"""

import os
import sys

if "PySide6" in sys.modules:
    raise ImportError("PySide6 was imported before the harness: its enums cannot be made ints any more")
os.environ["PYSIDE6_OPTION_PYTHON_ENUM"] = "2"  # enums are ints
os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
