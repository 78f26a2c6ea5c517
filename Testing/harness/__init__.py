"""3D Slicer without its window: the real MRML core of `slicer-core`, and an emulation of PythonQt over PySide6.

Tests of Slicer modules run against it. It is not Slicer: the C++ of the scene, the logics and the views is real,
the Qt side (`qt`, `ctk`, `slicer.qMRML...`, `slicer.app`) is ours and behaves as measured on real PythonQt.
"""
