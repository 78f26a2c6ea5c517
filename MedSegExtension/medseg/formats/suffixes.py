"""Which file formats are known, by their suffix, and how files that belong together are named."""

from pathlib import Path

from medseg.errors import BadInput

NIFTI = (".nii", ".nii.gz", ".hdr", ".img")
NRRD = (".nrrd", ".nhdr")
METAIMAGE = (".mha", ".mhd")
PICTURE = (".png", ".jpg", ".jpeg", ".tif", ".tiff")
DICOM = (".dcm", ".ima")
SEGMENTATION = ".seg.nrrd"

READABLE = NIFTI + NRRD + METAIMAGE + PICTURE + DICOM
WRITABLE = (".nii.gz", ".nii", ".nrrd", SEGMENTATION, ".mha")


def suffix(path: Path) -> str:
    """Return the known suffix of a file in lower case, the longest that fits, or "" if none is known.

    >>> suffix(Path("scan.v2.NII.GZ")), suffix(Path("brain.seg.nrrd")), suffix(Path("notes.txt"))
    ('.nii.gz', '.seg.nrrd', '')
    """
    name = path.name.lower()
    fitting = [known for known in (*READABLE, SEGMENTATION) if name.endswith(known) and name != known]
    return max(fitting, key=len, default="")


def beside(path: Path, ending: str) -> Path:
    """Return the file of the same name with another ending, in the same folder.

    >>> beside(Path("out/result.nii.gz"), ".json").as_posix()
    'out/result.json'
    """
    return path.with_name(path.name[: len(path.name) - len(suffix(path) or path.suffix)] + ending)


def writable_suffix(path: Path) -> str:
    """Return the suffix of a file to be written.

    Raises:
        BadInput: if the format cannot be written; the message lists those that can.
    """
    ending = suffix(path)
    if ending not in WRITABLE:
        raise BadInput(f"{path} cannot be written: its format is not known; end the name in {listed(WRITABLE)}")
    return ending


def listed(words: tuple[str, ...]) -> str:
    """Join words for people.

    >>> listed((".nii", ".nrrd", ".mha"))
    '.nii, .nrrd or .mha'
    """
    return f"{', '.join(words[:-1])} or {words[-1]}"
