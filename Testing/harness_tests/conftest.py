"""The harness's own tests: each file in a process of its own."""

from harness.fixtures import application, desktop, no_faults, qt, scene  # noqa: F401
from harness.own_process import pytest_collect_file, pytest_pycollect_makemodule  # noqa: F401

collect_ignore = ["module"]  # a Slicer module, not a test of one
