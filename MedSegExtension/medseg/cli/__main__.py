"""`python -m medseg.cli`, for interpreters that have no scripts folder (PythonSlicer)."""

import sys

from medseg.cli import main

sys.exit(main())
