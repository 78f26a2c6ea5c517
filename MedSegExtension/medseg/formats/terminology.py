"""Coded segment types as 3D Slicer writes them into files.

A code is `SCHEME^VALUE^MEANING`; an entry joins a context name, category, type, type modifier, an anatomic context
name, region and region modifier by `~` (Slicer developer guide, "Segmentations", TerminologyEntry tag).
"""

from dataclasses import replace

from medseg.segmentation import Code, Segment

_TAG = "TerminologyEntry:"
_CONTEXT = "Segmentation category and type - DICOM master list"
_ANATOMY = "Anatomic codes - DICOM master list"
_SEPARATORS = str.maketrans("|~^\t\r\n", "      ")


def triplet(code: Code | None) -> str:
    """Write a code, or the absence of one.

    >>> triplet(Code("12738006", "SCT", "Brain")), triplet(None)
    ('SCT^12738006^Brain', '^^')
    """
    words = (code.scheme, code.value, code.meaning) if code else ("", "", "")
    return "^".join(word.translate(_SEPARATORS).strip() for word in words)


def code_of(text: str) -> Code | None:
    """Read a code back; None where there is none.

    >>> code_of("SCT^12738006^Brain")
    Code(value='12738006', scheme='SCT', meaning='Brain')
    """
    scheme, value, meaning = ([word.strip() for word in text.split("^")] + ["", "", ""])[:3]
    return Code(value, scheme, meaning) if value else None


def tag(segment: Segment) -> str:
    """Write a segment's codes as a tag of a `.seg.nrrd` file; empty if it has none."""
    if not (segment.code or segment.category):
        return ""
    codes = [triplet(c) for c in (segment.category, segment.code, segment.modifier)]
    places = [triplet(c) for c in (segment.region, segment.region_modifier)]
    return _TAG + "~".join([_CONTEXT, *codes, _ANATOMY, *places])


def with_tags(segment: Segment, tags: str) -> Segment:
    """Return a segment with the codes that the tags of a `.seg.nrrd` file give it."""
    entries = [entry.strip().removeprefix(_TAG) for entry in tags.split("|") if entry.strip().startswith(_TAG)]
    if not entries:
        return segment
    parts = (entries[0].split("~") + [""] * 7)[:7]
    category, code, modifier, region, region_modifier = (code_of(parts[n]) for n in (1, 2, 3, 5, 6))
    return replace(
        segment, code=code, category=category, modifier=modifier, region=region, region_modifier=region_modifier
    )
