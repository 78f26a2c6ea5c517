"""The default model on real heads: the same masks as its authors' own program."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import SimpleITK as sitk
from deepbet import BrainExtraction

from medseg import files, resources
from medseg.engines import cards
from medseg.engines.catalog import open_segmenter
from medseg.geometry import Geometry
from medseg.metrics import dice
from medseg.progress import silent
from medseg.segmenter import Segmenter

COLIN = resources.shipped() / "SampleData" / "colin27_t1.nii.gz"


@pytest.fixture(scope="module")
def brain() -> Segmenter:
    return open_segmenter(cards.find("brain-t1"), "cpu", "pytorch")


@pytest.fixture(scope="module")
def authors() -> BrainExtraction:
    return BrainExtraction(no_gpu=True)


def turned(source: Path, target: Path, letters: str) -> Path:
    """The same head, stored with other axes: left-handed where nibabel's letters say so."""
    image = nib.load(source)
    wanted = nib.orientations.axcodes2ornt(letters)
    change = nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted)
    nib.save(image.as_reoriented(change), target)
    return target


def tilted(source: Path, target: Path) -> Path:
    """A smaller, thicker-sliced, oblique acquisition of the same head."""
    image = files.read_image(source)
    grid = Geometry.of(image).respaced((1.5, 1.5, 4.0))
    turn = sitk.VersorTransform((1.0, 0.2, 0.0), 0.25)
    cosines = np.asarray(turn.GetMatrix()).reshape(3, 3) @ grid.cosines
    oblique = Geometry(grid.size, grid.spacing, turn.TransformPoint(grid.origin), tuple(cosines.ravel()))
    reference = oblique.image(np.zeros(oblique.shape, np.uint8))
    files.write_image(sitk.Resample(image, reference, sitk.Transform(), sitk.sitkLinear), target)
    return target


@pytest.mark.parametrize("kind", ["as it is", "left-handed", "sagittal", "oblique, thick slices"])
def test_the_mask_is_the_authors_own(tmp_path: Path, brain: Segmenter, authors: BrainExtraction, kind: str) -> None:
    path = {
        "as it is": lambda: COLIN,
        "left-handed": lambda: turned(COLIN, tmp_path / "l.nii.gz", "LAS"),
        "sagittal": lambda: turned(COLIN, tmp_path / "s.nii.gz", "PIR"),
        "oblique, thick slices": lambda: tilted(COLIN, tmp_path / "o.nii.gz"),
    }[kind]()
    _, theirs, _ = authors.run(nib.load(path))
    image = files.read_image(path)
    found = brain.predict([image], silent).segmentation
    assert found.geometry.same_as(Geometry.of(image))
    assert dice(found.mask(found.segment("Brain")), np.asarray(theirs.dataobj).T > 0) >= 0.99


def test_the_mask_keeps_name_colour_code_and_provenance(brain: Segmenter) -> None:
    prediction = brain.predict([files.read_image(COLIN)], silent)
    segment = prediction.segmentation.segment("Brain")
    assert segment.code is not None
    assert (segment.code.scheme, segment.code.value) == ("SCT", "12738006")
    assert prediction.provenance.sha256 == brain.card.weights[1].sha256
    assert prediction.provenance.device.startswith("cpu")
    assert {"prepare", "network", "restore"} <= set(prediction.provenance.seconds)
    assert "torch" in prediction.provenance.software
