"""Where the files that come with the library lie, and where the user's own are kept."""

import os
import sys
from pathlib import Path

from medseg.errors import Failed


def shipped() -> Path:
    """Return the folder `Resources`: inside the installed package, or beside the sources in a checkout.

    Raises:
        Failed: if the installation lacks it.
    """
    package = Path(__file__).resolve().parent
    for folder in (package / "Resources", package.parents[1] / "Resources"):
        if (folder / "Models").is_dir():
            return folder
    raise Failed(f"the installation of medseg at {package} lacks its Resources folder; install it again")


def user_folder() -> Path:
    """Return the folder of the user's models and caches; the variable MEDSEG_HOME names another one."""
    if chosen := os.environ.get("MEDSEG_HOME"):
        return Path(chosen)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "MedSeg"
    if sys.platform == "darwin":
        return home / "Library" / "Application Support" / "MedSeg"
    return Path(os.environ.get("XDG_DATA_HOME", home / ".local" / "share")) / "medseg"
