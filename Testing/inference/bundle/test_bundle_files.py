"""Zips that would write elsewhere, and bundles that lack something."""

import stat
import zipfile

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medseg.errors import BadInput
from medseg.inference import bundle_files, bundle_zip
from medseg.inference.bundle import BundleSegmenter, card_of
from medseg.inference.device import choose


def zipped(folder, archive, top=""):
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as opened:
        for path in sorted(folder.rglob("*")):
            opened.write(path, f"{top}{path.relative_to(folder).as_posix()}")
    return archive


@pytest.mark.parametrize("top", ["", "spleen_ct_segmentation/"])
def test_a_zip_with_or_without_a_top_folder_is_unpacked_once(
    make_bundle, tmp_path, new_volume, segment, monkeypatch, top
):
    source = make_bundle()
    archive = zipped(source, tmp_path / "spleen.zip", top)
    folder = bundle_zip.unpack(archive, tmp_path / "cache")
    assert bundle_files.fingerprint(folder) == bundle_files.fingerprint(source)
    monkeypatch.setattr(bundle_zip, "_extract", lambda *_: pytest.fail("unpacked again"))
    assert bundle_zip.unpack(archive, tmp_path / "cache") == folder
    assert [path.name for path in (tmp_path / "cache").iterdir()] == [(folder.parent if top else folder).name]
    image = new_volume()
    ours, theirs = (sitk.GetArrayFromImage(segment(f, image).segmentation.labels) for f in (folder, source))
    np.testing.assert_array_equal(ours, theirs)


def member(name, mode=0):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    return info


BAD_MEMBERS = {
    "parent": (member("../outside.txt"), "points out of its folder"),
    "parent inside": (member("spleen/../../outside.txt"), "points out of its folder"),
    "parent with backslash": (member("spleen\\..\\..\\outside.txt"), "points out of its folder"),
    "absolute": (member("/tmp/outside.txt"), "absolute"),
    "absolute with backslash": (member("\\outside.txt"), "absolute"),
    "drive letter": (member("C:/outside.txt"), "absolute"),
    "link": (member("spleen/models", stat.S_IFLNK | 0o777), "is a link"),
    "device": (member("spleen/pipe", stat.S_IFIFO | 0o666), "is a link or a device"),
}


@pytest.mark.parametrize("kind", BAD_MEMBERS)
def test_a_member_that_would_land_elsewhere_is_refused_before_anything_is_written(make_bundle, tmp_path, kind):
    info, why = BAD_MEMBERS[kind]
    archive = zipped(make_bundle(), tmp_path / "bundle.zip")
    with zipfile.ZipFile(archive, "a") as opened:
        opened.writestr(info, "/etc/passwd")
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(BadInput, match=why) as refusal:
        bundle_zip.unpack(archive, tmp_path / "cache")
    assert repr(info.filename) in str(refusal.value)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_bomb_is_refused(make_bundle, tmp_path):
    archive = zipped(make_bundle(), tmp_path / "bundle.zip")
    with zipfile.ZipFile(archive, "a", zipfile.ZIP_DEFLATED) as opened:
        opened.writestr("models/bomb.pt", bytes(100 << 20))
    with pytest.raises(BadInput, match=r"would grow to 0\.1 GB"):
        bundle_zip.unpack(archive, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_truncated_zip_is_bad_input_and_leaves_nothing(make_bundle, tmp_path):
    archive = zipped(make_bundle(), tmp_path / "bundle.zip")
    archive.write_bytes(archive.read_bytes()[:-200])
    with pytest.raises(BadInput, match="not a whole zip"):
        bundle_zip.unpack(archive, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_zip_with_damaged_content_leaves_nothing(make_bundle, tmp_path):
    archive = zipped(make_bundle(), tmp_path / "bundle.zip")
    with zipfile.ZipFile(archive) as opened:
        place = opened.getinfo("models/model.pt").header_offset
    content = bytearray(archive.read_bytes())
    content[place + 200 : place + 260] = bytes(60)
    archive.write_bytes(content)
    with pytest.raises(BadInput, match="not a whole zip"):
        bundle_zip.unpack(archive, tmp_path / "cache")
    assert list((tmp_path / "cache").iterdir()) == []


def test_a_zip_without_a_bundle_is_bad_input(tmp_path):
    archive = tmp_path / "photos.zip"
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("photo.txt", "hello")
    with pytest.raises(BadInput, match=r"not a MONAI bundle"):
        bundle_zip.unpack(archive, tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


def test_a_missing_zip_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match=r"nowhere\.zip cannot be read"):
        bundle_zip.unpack(tmp_path / "nowhere.zip", tmp_path / "cache")


def test_missing_metadata(make_bundle):
    folder = make_bundle()
    (folder / "configs" / "metadata.json").unlink()
    with pytest.raises(BadInput, match=r"lacks configs/metadata\.json"):
        bundle_files.read(folder)


@pytest.mark.parametrize("text", ["{", "[]", "[" * 100_000])
def test_broken_metadata(make_bundle, text):
    folder = make_bundle()
    (folder / "configs" / "metadata.json").write_text(text)
    with pytest.raises(BadInput, match=r"metadata\.json is not"):
        bundle_files.read(folder)


def test_missing_configuration(make_bundle):
    folder = make_bundle()
    (folder / "configs" / "inference.json").unlink()
    with pytest.raises(BadInput, match=r"has none of inference\.json, inference\.yaml"):
        card_of(bundle_files.read(folder))


def test_missing_weights(make_bundle):
    folder = make_bundle()
    (folder / "models" / "model.pt").unlink()
    with pytest.raises(BadInput, match=r"lacks its weights models/model\.pt"):
        card_of(bundle_files.read(folder))


def test_missing_weights_that_the_bundle_says_where_to_get(make_bundle):
    folder = make_bundle()
    (folder / "models" / "model.pt").unlink()
    (folder / "large_files.yml").write_text("large_files: []\n")
    with pytest.raises(BadInput, match=r"download those that .*large_files\.yml lists"):
        card_of(bundle_files.read(folder))


def test_weights_of_another_name_are_found(make_bundle):
    folder = make_bundle()
    (folder / "models" / "model.pt").rename(folder / "models" / "dynunet_FT.pt")
    assert card_of(bundle_files.read(folder)).weights[0].file == "models/dynunet_FT.pt"


def test_the_weights_that_the_configuration_loads_win(make_bundle):
    def load_low_resolution(config):
        config["checkpointloader"]["load_path"] = "$@bundle_root + '/models/model_lowres.pt'"

    folder = make_bundle(published=True, change=load_low_resolution)
    torch.save({}, folder / "models" / "model_lowres.pt")
    assert bundle_files.read(folder).weights.name == "model_lowres.pt"


def test_several_weights_without_a_plain_choice(make_bundle):
    folder = make_bundle()
    (folder / "models" / "model.pt").rename(folder / "models" / "a.pt")
    (folder / "models" / "b.pt").write_bytes(b"")
    with pytest.raises(BadInput, match=r"several weights \(a\.pt, b\.pt\)"):
        card_of(bundle_files.read(folder))


def test_the_card_names_the_weights_and_changed_weights_are_refused(make_bundle):
    folder = make_bundle()
    card = card_of(bundle_files.read(folder))
    torch.save({}, folder / "models" / "model.pt")
    with pytest.raises(BadInput, match="not the ones its card names"):
        BundleSegmenter(card, folder, choose("cpu"))


def test_a_configuration_changed_after_the_card_was_made_is_refused(make_bundle, edit_config):
    folder = make_bundle()
    card = card_of(bundle_files.read(folder))
    edit_config(folder, lambda config: config["inferer"].update(overlap=0.1))
    with pytest.raises(BadInput, match="has changed since model spleen-ct-segmentation was added"):
        BundleSegmenter(card, folder, choose("cpu"))
