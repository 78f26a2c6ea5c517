"""The section of a report on a correction: the largest changes are drawn, the table is that of the summary."""

import io

import numpy as np
import SimpleITK as sitk
from PIL import Image

from medseg.correction.summary import ADDED, REMOVED, Corrected
from medseg.geometry import Geometry
from medseg.report import write_report
from medseg.report.corrected import section
from medseg.segmentation import Segment, Segmentation
from medseg.segmenter import Prediction, Provenance

HOSTILE = "<script>alert(1)</script>"
GRID = Geometry((40, 36, 30), (1.0, 1.0, 2.0), (-20.0, -18.0, -30.0), tuple(np.eye(3).ravel()))
FLAT = Geometry((40, 36), (0.5, 0.5), (0.0, 0.0), (1.0, 0.0, 0.0, 1.0))


def corrected(grid: Geometry, name: str = "Brain") -> Corrected:
    before, after = (np.zeros(grid.shape, np.uint8) for _ in range(2))
    before[..., 5:20, 5:20] = after[..., 5:20, 5:20] = 1
    if grid.dimension == 3:
        before[2:20], after[2:20] = before[0], after[0]
        before[20:], after[20:] = 0, 0
        after[10:14, 20:25, 5:20] = 1
        before[4:7, 28:32, 28:32] = 1
    else:
        after[20:25, 5:20] = 1
    segment = Segment(1, name, (1.0, 0.5, 0.0))
    image = grid.image(np.random.default_rng(0).random(grid.shape).astype(np.float32))
    return Corrected(image, *(Segmentation(grid.image(mask), (segment,)) for mask in (before, after)), "Two clicks.")


def test_each_of_the_largest_changes_is_drawn_in_its_colour() -> None:
    shown = section(corrected(GRID))
    assert [(tile.plane, tile.position, tile.names) for tile in shown.tiles] == [
        ("axial", "I 8 mm", ("Added",)),
        ("axial", "I 20 mm", ("Removed",)),
    ]
    for tile, segment, other in zip(shown.tiles, (ADDED, REMOVED), (REMOVED, ADDED), strict=True):
        pixels = np.array(Image.open(io.BytesIO(tile.png)).convert("RGB"))
        for one, there in ((segment, True), (other, False)):
            assert (np.abs(pixels - 255 * np.array(one.color)).max(axis=-1) < 30).any() == there
    assert shown.rows == (("Brain", "9.10", "9.60", "0.60", "0.10", "0.963"),)


def test_a_radiograph_has_no_millilitres() -> None:
    shown = section(corrected(FLAT))
    assert [tile.plane for tile in shown.tiles] == ["image"]
    assert shown.rows[0][:5] == ("Brain", "-", "-", "75 pixels", "0 pixels")


def test_the_page_has_the_section_and_trusts_no_name(tmp_path) -> None:
    found = corrected(GRID, HOSTILE)
    record = Provenance("m", "1", "0" * 64, {}, "cpu", "2026-01-02T03:04:05+00:00")
    common = {"title": "T", "sources": ["a"], "card": None}
    with_it, without = (
        write_report(
            Prediction(found.after, record), sitk.Image(found.image), tmp_path / name, **common, correction=one
        ).read_text()
        for name, one in (("with", found), ("without", None))
    )
    assert "A correction" in with_it
    assert "Two clicks." in with_it
    assert HOSTILE not in with_it
    assert "A correction" not in without
