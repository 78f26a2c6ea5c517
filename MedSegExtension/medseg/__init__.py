"""MedSeg: segmentation, uncertainty, registration review and correction of medical images.

The files of this folder are the domain: types and pure functions, free of torch, vtk, Slicer and Qt.
Each sub-folder is a border to someone else's software. Everything here speaks LPS millimetres.
"""

__version__ = "0.1.0"
