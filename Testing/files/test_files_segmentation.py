"""Label maps and `.seg.nrrd`; slicerio is the independent reader."""

import numpy as np
import pytest
import SimpleITK as sitk
import slicerio

from medseg.errors import BadInput, Notice
from medseg.files import read_segmentation, write_segmentation
from medseg.geometry import Geometry
from medseg.segmentation import Code, Segment, Segmentation

LIVER = Segment(
    1,
    "Leber links, größer",
    (0.1, 0.25, 1.0),
    Code("10200004", "SCT", "Liver"),
    Code("123037004", "SCT", "Anatomical Structure"),
    key="2.25.17",
    modifier=Code("7771000", "SCT", "Left"),
)
TUMOUR = Segment(
    2,
    "tumour \\ 肿瘤",
    (0.5, 0.0, 0.125),
    Code("4147007", "SCT", "Mass"),
    Code("49755003", "SCT", "Morphologically Altered Structure"),
    key="Segment_2",
    region=Code("10200004", "SCT", "Liver"),
    region_modifier=Code("24028007", "SCT", "Right"),
)
PLAIN = Segment(7, "nothing known", (0.0, 1.0, 0.5), key="Segment_7")


@pytest.fixture
def flat(oblique):
    voxels = np.random.default_rng(0).choice([0, 1, 2, 7], oblique.shape).astype(np.uint8)
    return Segmentation(oblique.image(voxels), (LIVER, TUMOUR, PLAIN))


@pytest.fixture
def layered(oblique):
    voxels = np.random.default_rng(0).choice([0, 1, 2], (*oblique.shape, 2)).astype(np.uint8)
    over = Segment(1, "over", (0.25, 0.5, 0.75), layer=1, key="over")
    return Segmentation(oblique.image(voxels), (LIVER, TUMOUR, over))


def check_same(read, written):
    assert read.geometry.same_as(written.geometry)
    assert read.segments == written.segments
    for segment in written.segments:
        assert np.array_equal(read.mask(segment), written.mask(segment)), segment.name


@pytest.mark.parametrize("kind", ["flat", "layered"])
def test_everything_survives_a_seg_nrrd_file(tmp_path, request, kind):
    segmentation = request.getfixturevalue(kind)
    write_segmentation(segmentation, tmp_path / "result.seg.nrrd")
    check_same(read_segmentation(tmp_path / "result.seg.nrrd"), segmentation)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.uint32])
def test_every_label_type_survives(tmp_path, oblique, dtype):
    segmentation = Segmentation(oblique.image(np.full(oblique.shape, 7, dtype)), (PLAIN,))
    write_segmentation(segmentation, tmp_path / "result.seg.nrrd")
    back = read_segmentation(tmp_path / "result.seg.nrrd")
    assert back.labels.GetPixelID() == segmentation.labels.GetPixelID()
    check_same(back, segmentation)


@pytest.mark.parametrize("kind", ["flat", "layered"])
def test_slicerio_reads_what_we_write(tmp_path, request, kind):
    segmentation = request.getfixturevalue(kind)
    write_segmentation(segmentation, tmp_path / "result.seg.nrrd")
    read = slicerio.read_segmentation(str(tmp_path / "result.seg.nrrd"))
    assert np.allclose(read["ijkToLPS"], segmentation.geometry.affine, atol=1e-9)
    assert read["voxels"].ndim == (4 if kind == "layered" else 3)
    for ours, theirs in zip(segmentation.segments, read["segments"], strict=True):
        mask = slicerio.segment_mask(read, theirs)
        assert np.array_equal(mask.T, segmentation.mask(ours))
        assert theirs["id"] == ours.key
        assert tuple(theirs["color"]) == ours.color
        # slicerio reads headers as ASCII
        assert theirs["name"] == ours.name.encode("ascii", "ignore").decode().replace("\\", "\\\\").strip()
    liver = read["segments"][0]["terminology"]
    assert liver["type"] == ["SCT", "10200004", "Liver"]
    assert liver["category"] == ["SCT", "123037004", "Anatomical Structure"]
    assert liver["typeModifier"] == ["SCT", "7771000", "Left"]
    tumour = read["segments"][1]["terminology"]
    assert tumour["anatomicRegion"] == ["SCT", "10200004", "Liver"]
    assert tumour["anatomicRegionModifier"] == ["SCT", "24028007", "Right"]


def test_we_read_what_slicerio_writes(tmp_path, oblique):
    written = slicerio.create_segmentation(oblique.size, oblique.affine)
    masks = [np.zeros(oblique.size, bool) for _ in range(2)]
    masks[0][1:4, 1:4] = True
    masks[1][3:, 2:] = True
    for name, mask in zip(("first", "second"), masks, strict=True):
        slicerio.add_segment(written, mask, {"name": name, "color": [0.5, 0.25, 0.125]})
    slicerio.write_segmentation(str(tmp_path / "theirs.seg.nrrd"), written)
    read = read_segmentation(tmp_path / "theirs.seg.nrrd")
    assert read.layers == 2
    assert read.geometry.same_as(oblique)
    for name, mask in zip(("first", "second"), masks, strict=True):
        assert np.array_equal(read.mask(read.segment(name)).T, mask)
        assert read.segment(name).color == (0.5, 0.25, 0.125)


def test_separators_in_a_meaning_do_not_break_the_terminology(tmp_path, oblique):
    code = Code("1", "99LOCAL", "left|right~both^neither")
    segment = Segment(1, "odd", (0, 0, 0), code, code, key="odd")
    write_segmentation(
        Segmentation(oblique.image(np.ones(oblique.shape, np.uint8)), (segment,)), tmp_path / "o.seg.nrrd"
    )
    (read,) = read_segmentation(tmp_path / "o.seg.nrrd").segments
    assert read.code == Code("1", "99LOCAL", "left right both neither")
    assert read.name == "odd"


def test_segments_without_a_key_get_different_ones(tmp_path, oblique):
    segments = (Segment(1, "a", (0, 0, 0)), Segment(2, "b", (0, 0, 0), key="Segment_1"), Segment(3, "c", (0, 0, 0)))
    write_segmentation(Segmentation(oblique.image(np.ones(oblique.shape, np.uint8)), segments), tmp_path / "k.seg.nrrd")
    keys = [segment.key for segment in read_segmentation(tmp_path / "k.seg.nrrd").segments]
    assert keys == ["Segment_1", "Segment_1_2", "Segment_3"]


def test_files_of_before_shared_layers_have_a_layer_a_segment(tmp_path, oblique):
    voxels = np.zeros((*oblique.shape, 2), np.uint8)
    voxels[0, ..., 0] = voxels[:2, ..., 1] = 1
    image = oblique.image(voxels)
    for n, name in enumerate(("first", "second")):
        image.SetMetaData(f"Segment{n}_ID", name)
        image.SetMetaData(f"Segment{n}_Name", name)
    sitk.WriteImage(image, str(tmp_path / "old.seg.nrrd"))
    read = read_segmentation(tmp_path / "old.seg.nrrd")
    assert [read.mask(segment).sum() for segment in read.segments] == [voxels[..., 0].sum(), voxels[..., 1].sum()]


def test_a_2d_segmentation_becomes_one_slice_in_a_seg_nrrd_file(tmp_path):
    grid = Geometry((5, 4), (0.5, 0.75), (10.0, -20.0), (0.6, -0.8, 0.8, 0.6))
    voxels = np.eye(4, 5, dtype=np.uint8)
    write_segmentation(Segmentation(grid.image(voxels), (Segment(1, "bone", (1, 1, 1)),)), tmp_path / "flat.seg.nrrd")
    read = read_segmentation(tmp_path / "flat.seg.nrrd")
    assert read.geometry.size == (5, 4, 1)
    assert read.geometry.point((2, 3, 0))[:2] == pytest.approx(grid.point((2, 3)))
    assert np.array_equal(read.mask(read.segments[0])[0], voxels == 1)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_a_plain_label_map_keeps_names_colours_and_codes_in_a_table_beside_it(tmp_path, flat, suffix):
    write_segmentation(flat, tmp_path / f"result{suffix}")
    read = read_segmentation(tmp_path / f"result{suffix}")
    rows = (tmp_path / "result.tsv").read_text(encoding="utf-8").splitlines()
    assert rows[0].split("\t")[:3] == ["index", "name", "color"]
    assert rows[1].split("\t")[:3] == ["1", "Leber links, größer", "#1a40ff"]
    for ours, theirs in zip(flat.segments, read.segments, strict=True):
        assert theirs.color == pytest.approx(ours.color, abs=1 / 255)
        assert (theirs.name, theirs.code, theirs.category) == (ours.name, ours.code, ours.category)
        assert (theirs.key, theirs.modifier, theirs.region) == (ours.key, ours.modifier, ours.region)
        assert np.array_equal(read.mask(theirs), flat.mask(ours))


def test_a_label_that_the_table_lacks_is_named_by_its_value(tmp_path, flat):
    write_segmentation(flat, tmp_path / "labels.nii.gz")
    (tmp_path / "labels.tsv").write_text("index\tname\n0\tbackground\n2\ttumour\n", encoding="utf-8")
    names = [segment.name for segment in read_segmentation(tmp_path / "labels.nii.gz").segments]
    assert names == ["tumour", "Segment 1", "Segment 7"]


@pytest.mark.parametrize("text", ["onset\tduration\n0\t1\n", "index\tname\none\tliver\n", "index\tname\n1\n"])
def test_a_table_that_is_something_else_is_left_alone_and_a_notice_says_so(tmp_path, flat, text):
    write_segmentation(flat, tmp_path / "labels.nii.gz")
    (tmp_path / "labels.tsv").write_text(text, encoding="utf-8")
    with pytest.warns(Notice, match="not a lookup table"):
        names = [segment.name for segment in read_segmentation(tmp_path / "labels.nii.gz").segments]
    assert names == ["Segment 1", "Segment 2", "Segment 7"]


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz", ".nrrd", ".mha"])
def test_overlap_is_refused_where_the_format_cannot_hold_it(tmp_path, layered, suffix):
    with pytest.raises(BadInput, match=r"overlap; end the name in \.seg\.nrrd"):
        write_segmentation(layered, tmp_path / f"result{suffix}")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("top", "kind"), [(5, np.uint8), (300, np.uint16), (70000, np.uint32)])
def test_whole_numbers_stored_as_real_ones_are_labels(tmp_path, oblique, top, kind):
    voxels = np.zeros(oblique.shape, np.float32)
    voxels[0, 1, 2] = top
    sitk.WriteImage(oblique.image(voxels), str(tmp_path / "labels.nii.gz"))
    read = read_segmentation(tmp_path / "labels.nii.gz")
    assert sitk.GetArrayFromImage(read.labels).dtype == kind
    assert [segment.value for segment in read.segments] == [top]
    assert read.labels[2, 1, 0] == top
    assert read.geometry.same_as(oblique)


@pytest.mark.parametrize("value", [0.5, -1.0, np.nan, np.inf, 3e9])
def test_real_numbers_that_are_no_labels_are_refused(tmp_path, oblique, value):
    voxels = np.ones(oblique.shape, np.float64)
    voxels[0, 1, 2] = value
    sitk.WriteImage(oblique.image(voxels), str(tmp_path / "map.nrrd"))
    with pytest.raises(BadInput, match="is no label map"):
        read_segmentation(tmp_path / "map.nrrd")


def test_negative_integers_are_refused(tmp_path, oblique):
    sitk.WriteImage(oblique.image(np.full(oblique.shape, -1000, np.int16)), str(tmp_path / "ct.nrrd"))
    with pytest.raises(BadInput, match="is no label map: it holds -1000"):
        read_segmentation(tmp_path / "ct.nrrd")


def test_a_sheared_label_map_keeps_its_labels(tmp_path):
    grid = Geometry((8, 8, 8), (1, 1, 1), (0, 0, 0), (1, 0.3, 0, 0, np.sqrt(1 - 0.09), 0, 0, 0, 1))
    voxels = np.zeros(grid.shape, np.uint8)
    voxels[2:6, 2:6, 2:6] = 40
    sitk.WriteImage(grid.image(voxels), str(tmp_path / "sheared.nrrd"))
    with pytest.warns(Notice, match="sheared"):
        read = read_segmentation(tmp_path / "sheared.nrrd")
    assert set(np.unique(sitk.GetArrayFromImage(read.labels))) == {0, 40}


def test_a_sheared_segmentation_keeps_its_labels(tmp_path, flat):
    write_segmentation(flat, tmp_path / "result.seg.nrrd")
    raw = (tmp_path / "result.seg.nrrd").read_bytes()
    begin = raw.index(b"space directions: ")
    sheared = b"space directions: (1,0,0) (0.5,1,0) (0,0,1)"
    (tmp_path / "result.seg.nrrd").write_bytes(raw[:begin] + sheared + raw[raw.index(b"\n", begin) :])
    with pytest.warns(Notice, match="sheared"):
        read = read_segmentation(tmp_path / "result.seg.nrrd")
    assert set(np.unique(sitk.GetArrayFromImage(read.labels))) == {0, 1, 2, 7}


@pytest.mark.parametrize("name", ["result.seg.nrrd", "result.nii.gz"])
def test_labels_carry_nothing_but_voxels_and_grid(tmp_path, flat, name):
    write_segmentation(flat, tmp_path / name)
    assert not read_segmentation(tmp_path / name).labels.GetMetaDataKeys()


def test_a_fractional_segmentation_is_refused(tmp_path, flat):
    write_segmentation(flat, tmp_path / "result.seg.nrrd")
    raw = (tmp_path / "result.seg.nrrd").read_bytes()
    fraction = raw.replace(b"Representation:=Binary labelmap\n", b"Representation:=Fractional labelmap\n")
    assert fraction != raw
    (tmp_path / "result.seg.nrrd").write_bytes(fraction)
    with pytest.raises(BadInput, match="fractional segmentation"):
        read_segmentation(tmp_path / "result.seg.nrrd")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (b"Segment0_Layer:=0", b"Segment0_Layer:=4", "layer 4 of 1"),
        (b"Segment0_LabelValue:=1", b"Segment0_LabelValue:=x", "holds no number"),
        (b"Segment0_Color:=0.1 ", b"Segment0_Color:=red ", "holds no number"),
    ],
)
def test_damaged_segment_descriptions_are_refused(tmp_path, flat, old, new, told):
    write_segmentation(flat, tmp_path / "result.seg.nrrd")
    raw = (tmp_path / "result.seg.nrrd").read_bytes()
    assert old in raw
    (tmp_path / "result.seg.nrrd").write_bytes(raw.replace(old, new))
    with pytest.raises(BadInput, match=told):
        read_segmentation(tmp_path / "result.seg.nrrd")
