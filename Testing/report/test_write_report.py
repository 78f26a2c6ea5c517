import io
import re
import resource
import time
from base64 import b64decode
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from PIL import Image

from medseg.errors import Failed
from medseg.geometry import Geometry
from medseg.model_card import Channel, ModelCard, Weights
from medseg.report import write_report
from medseg.report.html import Tile
from medseg.segmentation import PALETTE, Segment, Segmentation
from medseg.segmenter import Prediction, Provenance

COLIN27 = Path(__file__).parents[2] / "Resources" / "SampleData" / "colin27_t1.nii.gz"
HOSTILE = """"><script>alert('1')</script><img src=http://evil.example/x onerror="alert(2)">{{ 7 * 7 }}"""
SHA256 = "0123456789abcdef" * 4


class Page(HTMLParser):
    """What a browser would see: the elements with their attributes, and the text."""

    def __init__(self, path):
        super().__init__()
        self.elements, self.said, self._silent = [], "", False
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self._silent = tag in ("style", "script")

    def handle_endtag(self, tag):
        self._silent = False

    def handle_data(self, data):
        self.said += "" if self._silent else f" {data}"

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self):
        return " ".join(self.said.split())


def a_card(**changes):
    facts = {
        "name": "brain", "version": "2", "title": "Brain extraction", "description": "", "engine": "torchscript",
        "license": "MIT", "source": "", "intended_use": "T1 heads of adults", "inputs": (Channel("T1"),),
        "segments": (), "weights": (Weights("w", SHA256),),
    }  # fmt: skip
    return ModelCard(**{**facts, **changes})


def a_provenance(**changes):
    facts = {
        "model": "brain", "version": "2.1", "sha256": SHA256, "software": {"torch": "2.9", "medseg": "0.1"},
        "device": "cpu: no GPU found", "created": "2026-02-03T10:11:12+00:00", "options": {"overlap": 0.25},
        "notes": ("channels were resampled",), "seconds": {"predict": 83.0, "read": 0.42},
    }  # fmt: skip
    return Provenance(**{**facts, **changes})


def a_case(size=(30, 36, 24), names=("Brain",), empty=False, **provenance):
    grid = Geometry(size, (2.0,) * len(size), (0.0,) * len(size), tuple(float(x) for x in np.eye(len(size)).ravel()))
    gray = np.random.default_rng(0).normal(100, 20, grid.shape).astype(np.float32)
    labels = np.zeros(grid.shape, np.uint8)
    for number in range(0 if empty else len(names)):
        labels[tuple(slice(4 + 3 * number, 7 + 3 * number) for _ in size)] = number + 1
    segments = tuple(Segment(n + 1, name, PALETTE[n % 7]) for n, name in enumerate(names))
    return Prediction(Segmentation(grid.image(labels), segments), a_provenance(**provenance)), grid.image(gray)


def report(folder, case, title="A case", sources=("head.nii.gz",), card=None):
    return Page(write_report(*case, folder, title=title, sources=sources, card=card))


@pytest.fixture
def page(tmp_path):
    return report(tmp_path / "report", a_case(names=("Brain", "Lesion")), card=a_card())


def test_the_page_says_what_was_found_and_where_it_comes_from(page):
    for words in (
        "A case", "Research use only. Not for clinical use.", "Brain 0.216 27", "Lesion 0.216 27", "head.nii.gz",
        "brain 2.1", "torch 2.9, medseg 0.1", "cpu: no GPU found", "2026-02-03 10:11 UTC", "overlap 0.25",
        "channels were resampled", "1 min 23 s", "0.4 s", "MIT", "Brain extraction", "T1 heads of adults",
        "Radiological convention",
    ):  # fmt: skip
        assert words in page.text
    assert "Nothing was segmented" not in page.text
    assert "tilted" not in page.text


def test_the_fingerprint_is_short_on_screen_and_whole_on_paper(page):
    (short,) = page.all("abbr")
    assert short == {"class": "screen", "title": SHA256}
    assert f">{SHA256[:12]}</code></abbr>" in page.source
    assert f'<code class="printed">{SHA256}</code>' in page.source


def test_lines_without_content_are_left_out(tmp_path):
    bare = a_case(sha256="", options={}, notes=(), seconds={})
    page = report(tmp_path / "report", bare, sources=())
    for words in ("SHA-256", "Options", "Licence", "Time taken", "Input", "To know"):
        assert words not in page.text


def test_pictures_are_inline_and_words_describe_them(page):
    images = page.all("img")
    assert len(images) == 18
    for image in images:
        kind, data = image["src"].split(",", 1)
        with Image.open(io.BytesIO(b64decode(data))) as picture:
            assert (kind, picture.format) == ("data:image/png;base64", "PNG")
            assert (str(picture.width), str(picture.height)) == (image["width"], image["height"])
        assert re.match(r"(Axial|Coronal|Sagittal) slice at [LRAPSI] \d+ mm, (outlined: |nothing)", image["alt"])
    assert sum("outlined: Brain" in image["alt"] for image in images) >= 3


def test_the_page_asks_nothing_of_any_network(page):
    assert "http:" not in page.source
    assert "https:" not in page.source
    assert not {"script", "link", "iframe", "object", "embed", "base", "form"} & {tag for tag, _ in page.elements}
    assert "url(" not in page.source
    assert "@import" not in page.source
    policies = [meta["content"] for meta in page.all("meta") if meta.get("http-equiv") == "Content-Security-Policy"]
    assert policies == ["default-src 'none'; img-src data:; style-src 'unsafe-inline'"]


def test_the_page_fits_phones_readers_and_paper(page):
    assert page.all("html")[0]["lang"] == "en"
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in page.all("meta")
    assert all(head["scope"] in ("col", "row") for head in page.all("th"))
    # dark colours must never reach paper
    assert "@media screen and (prefers-color-scheme: dark)" in page.source
    assert page.source.count("prefers-color-scheme") == 1


def test_hostile_names_are_only_text(tmp_path):
    case = a_case(names=(HOSTILE,), notes=(HOSTILE,), device=HOSTILE, options={HOSTILE: HOSTILE}, model=HOSTILE,
                  version=HOSTILE, sha256=HOSTILE, created=HOSTILE, software={HOSTILE: HOSTILE},
                  seconds={HOSTILE: 1.0})  # fmt: skip
    card = a_card(title=HOSTILE, license=HOSTILE, intended_use=HOSTILE)
    page = report(tmp_path / "report", case, title=HOSTILE, sources=(HOSTILE,), card=card)
    assert not page.all("script")
    assert all(image["src"].startswith("data:image/png;base64,") for image in page.all("img"))
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    assert page.text.count(" ".join(HOSTILE.split())) >= 12
    assert HOSTILE in page.all("img")[0]["alt"] + page.all("img")[3]["alt"]


def test_a_file_name_that_is_no_text_can_be_reported(tmp_path):
    name = b"head\xff.nii.gz".decode("utf-8", errors="surrogateescape")
    assert "head?.nii.gz" in report(tmp_path / "report", a_case(), sources=(name,)).text


def test_an_empty_segmentation_says_so(tmp_path):
    page = report(tmp_path / "report", a_case(empty=True))
    assert "Nothing was segmented." in page.text
    assert "Brain 0 0" in page.text
    assert len(page.all("img")) == 18
    assert all(image["alt"].endswith("nothing outlined") for image in page.all("img"))


def test_a_segmentation_without_segments_says_so(tmp_path):
    page = report(tmp_path / "report", a_case(names=()))
    assert "Nothing was segmented." in page.text
    assert "names no structure" in page.text


def test_a_radiograph_is_one_picture_with_areas(tmp_path):
    page = report(tmp_path / "report", a_case(size=(40, 30)))
    assert sorted(file.name for file in (tmp_path / "report").iterdir()) == ["image.png", "index.html"]
    (image,) = page.all("img")
    assert (image["width"], image["height"], image["alt"]) == ("1000", "750", "Image, outlined: Brain")
    assert "Brain 36.00 9" in page.text
    assert "Area (mm²)" in page.text
    assert "Radiological convention" not in page.text


def test_a_tilted_volume_says_so(tmp_path):
    prediction, image = a_case()
    turn = sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.0, 0.0, np.radians(12.0))
    for picture in (image, prediction.segmentation.labels):
        picture.SetDirection(turn.GetMatrix())
    assert "tilted by 12°" in report(tmp_path / "report", (prediction, image)).text


def test_many_segments_are_listed_once(tmp_path):
    names = tuple(f"Part {n}" for n in range(1, 14))
    page = report(tmp_path / "report", a_case(size=(60, 60, 60), names=names))
    assert page.text.count("Part 13") == 1
    assert "names the colours of the outlines" in page.text


def test_the_words_for_a_picture_stay_short():
    names = tuple(f"Part {n}" for n in range(1, 8))
    several = "Axial slice at S 1 mm, outlined: Part 1, Part 2, Part 3, Part 4, Part 5"
    assert Tile(b"", "axial", "S 1 mm", names).text == f"{several} and 2 more"
    assert Tile(b"", "axial", "S 1 mm", names[:5]).text == several


def test_colours_outside_their_range_are_clipped(tmp_path):
    prediction, image = a_case()
    segments = (Segment(1, "Brain", (1.5, -0.2, 0.5)),)
    case = Prediction(Segmentation(prediction.segmentation.labels, segments), prediction.provenance), image
    assert "rgb(255, 0, 128)" in report(tmp_path / "report", case).source


def test_png_files_lie_beside_the_page(tmp_path):
    case = a_case()
    path = write_report(*case, tmp_path / "deep" / "report", title="A case", sources=(), card=None)
    assert path == tmp_path / "deep" / "report" / "index.html"
    names = sorted(file.name for file in path.parent.iterdir())
    assert names == ["axial.png", "coronal.png", "index.html", "sagittal.png"]
    with Image.open(path.parent / "axial.png") as picture:
        assert picture.size == (3 * 320 + 2 * 4, 2 * 384 + 4)
    assert [entry.name for entry in (tmp_path / "deep").iterdir()] == ["report"]


def test_an_existing_folder_is_completed_and_its_other_files_stay(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    (tmp_path / "index.html").write_text("old")
    assert "A case" in report(tmp_path, a_case()).text
    names = sorted(entry.name for entry in tmp_path.iterdir())
    assert names == ["axial.png", "coronal.png", "index.html", "notes.txt", "sagittal.png"]
    assert (tmp_path / "notes.txt").read_text() == "mine"


@contextmanager
def no_file_above(size):
    """The system itself refuses to write longer files, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("existing", [False, True])
def test_a_failed_write_leaves_everything_as_it_was(tmp_path, existing):
    folder = tmp_path / "report"
    if existing:
        folder.mkdir()
        (folder / "index.html").write_text("old")
    with no_file_above(100_000), pytest.raises(Failed, match=r"report.* could not be written: .+"):
        write_report(*a_case(), folder, title="A case", sources=(), card=None)
    assert [path.name for path in tmp_path.rglob("*")] == (["report", "index.html"] if existing else [])
    if existing:
        assert (folder / "index.html").read_text() == "old"


def test_a_failed_write_leaves_an_empty_folder_where_it_was(tmp_path):
    with no_file_above(100_000), pytest.raises(Failed):
        write_report(*a_case(), tmp_path, title="A case", sources=(), card=None)
    assert tmp_path.is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_file_in_the_way_is_named(tmp_path):
    (tmp_path / "report").write_text("a file")
    with pytest.raises(Failed, match=r"report could not be written"):
        write_report(*a_case(), tmp_path / "report", title="A case", sources=(), card=None)
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_a_whole_head_takes_seconds_and_few_bytes(tmp_path):
    image = sitk.ReadImage(str(COLIN27))
    labels = sitk.Cast(image > 60, sitk.sitkUInt8)
    prediction = Prediction(Segmentation(labels, (Segment(1, "Head", PALETTE[0]),)), a_provenance())
    began = time.process_time()
    path = write_report(prediction, image, tmp_path / "report", title="Head", sources=(), card=None)
    assert time.process_time() - began < 6  # measured: 0.7 s
    assert sum(file.stat().st_size for file in path.parent.iterdir()) < 3_000_000
