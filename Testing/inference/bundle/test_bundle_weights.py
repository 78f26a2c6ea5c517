"""Weights in all the ways they are saved, and those that would run code or belong to another network."""

import contextlib
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from safetensors.torch import save_file

from medseg.errors import BadInput
from medseg.inference import bundle_weights


class Malicious:
    """Unpickling it runs a command."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.system, (f"touch {self.trace}",)


@pytest.mark.parametrize("save", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
@pytest.mark.parametrize("wrap", [lambda evil: evil, lambda evil: {"model": {"weight": torch.ones(1)}, "x": evil}])
def test_a_pickle_that_runs_code_is_refused_and_not_run(make_bundle, open_, tmp_path, save, wrap):
    folder, trace = make_bundle(), tmp_path / "trace"
    save(wrap(Malicious(trace)), folder / "models" / "model.pt")
    with pytest.raises(BadInput, match=r"model\.pt are refused: unpickling them would run code"):
        open_(folder)
    assert not trace.exists()
    with contextlib.suppress(RuntimeError):  # the trap does work
        torch.load(folder / "models" / "model.pt", weights_only=False)
    assert trace.exists()


def test_weights_of_another_network_are_refused_and_the_keys_named(make_bundle, open_):
    folder, other = make_bundle("a"), make_bundle("b", network={"channels": [4, 8, 16], "strides": [2, 2]})
    (folder / "models" / "model.pt").write_bytes((other / "models" / "model.pt").read_bytes())
    with pytest.raises(BadInput, match=r"of another network than UNet .*missing: model\.1.*unknown: model\.1"):
        open_(folder)


def test_weights_of_another_width_are_refused_and_the_shapes_named(make_bundle, open_):
    folder, other = make_bundle("a"), make_bundle("b", network={"out_channels": 5})
    (folder / "models" / "model.pt").write_bytes((other / "models" / "model.pt").read_bytes())
    with pytest.raises(BadInput, match=r"of another shape: .* \[.*5.*\] for \[.*3.*\]"):
        open_(folder)


@pytest.mark.parametrize("content", [b"", b"no weights", b"PK\x03\x04broken"])
def test_damaged_weights_are_bad_input(make_bundle, open_, content):
    folder = make_bundle()
    (folder / "models" / "model.pt").write_bytes(content)
    with pytest.raises(BadInput, match=r"model\.pt"):
        open_(folder)


def test_a_checkpoint_without_a_network_is_bad_input(make_bundle, open_):
    folder = make_bundle()
    torch.save({"epoch": 3}, folder / "models" / "model.pt")
    with pytest.raises(BadInput, match="hold no network"):
        open_(folder)


def as_is(state):
    return state


def with_numpy_numbers(state):
    return {"state_dict": state, "best": np.float64(0.9), "epoch": np.int64(3)}


def several_gpus(state):
    return {f"module.{key}": value for key, value in state.items()}


def half_precision(state):
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


def without_counters(state):
    return {key: value for key, value in state.items() if not key.endswith("num_batches_tracked")}


@pytest.mark.parametrize("key", ["model", "network", "state_dict", "net"])
def test_weights_below_a_key(make_bundle, new_volume, segment, key):
    assert_same_labels(make_bundle, new_volume, segment, lambda state: {key: state, "epoch": 7})


@pytest.mark.parametrize("form", [as_is, with_numpy_numbers, several_gpus, without_counters])
def test_weights_in_the_forms_that_programs_leave_them(make_bundle, new_volume, segment, form):
    assert_same_labels(make_bundle, new_volume, segment, form)


def test_numpy_numbers_saved_under_numpy_1_are_read(tmp_path):
    torch.save({"best": np.float64(0.5)}, tmp_path / "new.pt", pickle_protocol=2)
    import zipfile

    with zipfile.ZipFile(tmp_path / "new.pt") as new, zipfile.ZipFile(tmp_path / "old.pt", "w") as old:
        for name in new.namelist():
            content = new.read(name)
            old.writestr(name, content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert bundle_weights.read_checkpoint(tmp_path / "old.pt") == {"best": 0.5}


def test_half_precision_weights_are_widened(make_bundle, new_volume, segment):
    folder = make_bundle()
    rewrite(folder, half_precision)
    engine_labels = sitk.GetArrayFromImage(segment(folder, new_volume()).segmentation.labels)
    assert set(np.unique(engine_labels)) == {0, 1, 2}


def test_safetensors(make_bundle, new_volume, segment):
    folder, plain = make_bundle("a"), make_bundle("b")
    save_file(torch.load(folder / "models" / "model.pt"), folder / "models" / "model.safetensors")
    (folder / "models" / "model.pt").unlink()
    assert_same(segment(folder, new_volume()), segment(plain, new_volume()))


def test_broken_safetensors(make_bundle, open_):
    folder = make_bundle()
    (folder / "models" / "model.pt").rename(folder / "models" / "model.safetensors")
    with pytest.raises(BadInput, match="not a whole safetensors file"):
        open_(folder)


def test_torchscript(make_bundle, new_volume, segment):
    from monai.networks.nets import UNet

    folder, plain = (
        make_bundle("a", change=lambda config: config.pop("network_def") and config.pop("network")),
        (make_bundle("b")),
    )
    network = UNet(spatial_dims=3, in_channels=1, out_channels=3, channels=[4, 8], strides=[2], norm="batch")
    network.load_state_dict(torch.load(folder / "models" / "model.pt"))
    torch.jit.script(network.eval()).save(str(folder / "models" / "model.ts"))
    (folder / "models" / "model.pt").unlink()
    assert_same(segment(folder, new_volume()), segment(plain, new_volume()))


def test_a_bundle_that_defines_no_network(make_bundle, open_):
    folder = make_bundle(change=lambda config: config.pop("network_def") and config.pop("network"))
    with pytest.raises(BadInput, match="defines no network"):
        open_(folder)


def rewrite(folder, form):
    path = folder / "models" / "model.pt"
    torch.save(form(torch.load(path)), path)


def assert_same_labels(make_bundle, new_volume, segment, form):
    folder, plain = make_bundle("a"), make_bundle("b")
    rewrite(folder, form)
    assert_same(segment(folder, new_volume()), segment(plain, new_volume()))


def assert_same(one, other):
    arrays = [sitk.GetArrayFromImage(p.segmentation.labels) for p in (one, other)]
    assert set(np.unique(arrays[0])) == {0, 1, 2}
    np.testing.assert_array_equal(*arrays)
