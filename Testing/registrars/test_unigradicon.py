"""uniGradICON with small weights of our own, under the names and in the shapes of the published ones."""

import numpy as np
import pytest
import torch

from medseg.engines.registrars_catalog import Options, open_registrar
from medseg.errors import BadInput
from medseg.geometry import Geometry
from medseg.progress import silent
from medseg.registrars.around_network import Around
from medseg.registrars.unigradicon import UniGradIconRegistrar, load, normalised, spanning
from medseg.registration import Guidance, InvertibleRegistrar
from registration_phantoms import SMALL_TURN, errors, head, moved

STEPS = ("netPhi.netPhi.net.netPhi.net.net.", "netPhi.netPhi.net.netPsi.net.", "netPhi.netPsi.net.", "netPsi.net.")
PUBLISHED = [2, 16, 32, 64, 256, 512], [16, 32, 64, 128, 256]
SMALL = [2, 3, 4, 5], [3, 4, 4]
EDGE = 19


def shapes(down=SMALL[0], up=SMALL[1], steps=STEPS):
    """Names and shapes of the published state dictionary, for these channels, in its order."""
    found, above = {}, [*up[1:], 0]
    for step in steps:
        for n in range(len(up)):
            found[f"{step}downConvs.{n}.weight"] = (down[n + 1], down[n], 3, 3, 3)
            found[f"{step}downConvs.{n}.bias"] = (down[n + 1],)
        for n in range(len(up)):
            found[f"{step}upConvs.{n}.weight"] = (down[n + 1] + above[n], up[n], 4, 4, 4)
            found[f"{step}upConvs.{n}.bias"] = (up[n],)
        for n in range(len(up)):
            found |= {f"{step}batchNorms.{n}.{one}": (up[n],) for one in ("weight", "bias")}
            found |= {f"{step}batchNorms.{n}.{one}": (up[n],) for one in ("running_mean", "running_var")}
            found[f"{step}batchNorms.{n}.num_batches_tracked"] = ()
        found[f"{step}lastConv.weight"] = (3, down[0] + up[0], 3, 3, 3)
        found[f"{step}lastConv.bias"] = (3,)
    return found


def still(**more):
    """Weights that move nothing; `more` sets the displacement of a step, in the unit cube, last axis first."""
    state = {name: torch.zeros(shape) for name, shape in shapes(**more).items()}
    return {name: torch.ones_like(v) if name.endswith("running_var") else v for name, v in state.items()}


def file_of(folder, state, name="Step_2_final.trch"):
    torch.save(state, folder / name)
    return folder / name


def engine(path, **more):
    return UniGradIconRegistrar(path, Around("uniGradICON", linear="none", **more), EDGE)


def wave(shape, phase):
    count = int(np.prod(shape))
    return torch.sin(torch.arange(count, dtype=torch.float32) * 0.7 + phase).reshape(shape)


def test_it_computes_what_the_published_program_does(tmp_path):
    # what icon_registration at 16a2c89 gave for these weights, images and places
    wanted = [
        [-0.006656631827, 0.010949015617, 0.017054140568],
        [-0.000914871693, 0.006569206715, 0.013032764196],
        [0.004762023687, 0.001650869846, 0.008063912392],
    ]
    state = {}
    for number, (name, shape) in enumerate(shapes().items()):
        values = wave(shape, number)
        scale = 0.05 if "lastConv" in name else 0.3
        state[name] = 1.5 + 0.5 * values if name.endswith("running_var") else scale * values
    network = load(file_of(tmp_path, state))
    moving, fixed = (0.5 + 0.5 * wave((1, 1, EDGE, EDGE, EDGE), phase) for phase in (0.0, 1.0))
    places = torch.tensor([[0.2, 0.5, 0.9], [0.1, 0.6, 0.3], [0.4, 0.7, 0.8]]).reshape(1, 3, 3, 1, 1)
    with torch.no_grad():
        found = (network(moving, fixed)(places) - places)[0, :, :, 0, 0]
    assert np.allclose(found, wanted, atol=2e-6)


def test_the_layers_are_those_of_the_published_weights(tmp_path):
    state = {name: torch.zeros(()).expand(shape) for name, shape in shapes(*PUBLISHED).items()}
    found = {name: tuple(value.shape) for name, value in load(file_of(tmp_path, state)).state_dict().items()}
    assert found == shapes(*PUBLISHED)
    assert len(found) == 4 * (10 * 2 + 5 * 5 + 2)


def test_weights_of_three_steps_are_read_too(tmp_path):
    network = load(file_of(tmp_path, still(steps=[step.removeprefix("netPhi.") for step in STEPS[:3]])))
    assert set(network.state_dict()) == set(shapes(steps=[step.removeprefix("netPhi.") for step in STEPS[:3]]))


@pytest.mark.parametrize(("channel", "axis"), [(0, (0, 0, 1)), (1, (0, 1, 0)), (2, (1, 0, 0))])
def test_the_channels_are_the_axes_last_one_first_and_the_steps_add_up(tmp_path, channel, axis):
    state, image = still(), head()
    for step in STEPS:
        state[f"{step}lastConv.bias"][channel] = 0.1  # a hundredth of the cube
    found = engine(file_of(tmp_path, state)).register(image, image, silent)
    grid = spanning(image, EDGE)
    wanted = np.array(axis) * 0.04 * (EDGE - 1) * grid.spacing[0]
    assert np.allclose(np.subtract(found.TransformPoint((3.0, 4.0, 5.0)), (3, 4, 5)), wanted, atol=1e-3)


def test_a_network_that_moves_nothing_leaves_the_linear_transform(tmp_path):
    path, known = file_of(tmp_path, still()), SMALL_TURN
    assert isinstance(engine(path), InvertibleRegistrar)
    both = engine(path).register_both(moved(known), head(), silent, Guidance(initial=known))
    assert errors(both[0], known).max() < 1e-6
    assert np.allclose(both[1].TransformPoint(both[0].TransformPoint((10.0, 20.0, 5.0))), (10, 20, 5), atol=1e-4)


def test_the_fixed_image_is_seen_as_a_whole_whatever_its_grid():
    grid = Geometry((30, 20, 10), (1.0, 2.0, 3.0), (5.0, 6.0, 7.0), (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0))
    seen = spanning(grid.image(np.zeros(grid.shape, np.float32)), 15)
    assert seen.size == (15, 15, 15)
    assert np.allclose(seen.spacing, (2.0, 8 / 3, 2.0))
    for corner in ((-0.5, -0.5, -0.5), (1, 1, 1)):
        ends = [(n - 0.5 if c == 1 else c for n, c in zip(g.size, corner, strict=True)) for g in (grid, seen)]
        assert np.allclose(grid.point(list(ends[0])), seen.point(list(ends[1])))


def test_ct_is_windowed_and_other_images_end_at_their_99th_percentile():
    ct = np.array([-2000.0, -1000.0, 0.0, 1000.0, 3000.0], np.float32)
    assert normalised(ct).tolist() == [0, 0, 0.5, 1, 1]
    mr = np.arange(10.0, 211.0, dtype=np.float32)
    assert normalised(mr).min() == 0
    assert normalised(mr)[198] == pytest.approx(1.0)
    assert normalised(mr)[99] == pytest.approx(0.5)
    spike = np.zeros(1000, np.float32)
    spike[0] = 5
    assert normalised(spike).max() == 1


def test_files_that_hold_other_things_are_bad_input(tmp_path):
    lacking, other = still(), still()
    del lacking["netPsi.net.upConvs.1.weight"]
    other["netPsi.net.batchNorms.0.weight"] = torch.zeros(9)
    files = {
        "gone.trch": (None, "does not exist"),
        "other.trch": (other, "another network"),
        "lacking.trch": (lacking, "upConvs.1.weight is missing"),
        "net.trch": ({"a": torch.zeros(1)}, "no weights of uniGradICON"),
        "number.trch": ({"a": 1}, "something else"),
    }
    for name, (state, why) in files.items():
        path = tmp_path / name if state is None else file_of(tmp_path, state, name)
        with pytest.raises(BadInput, match=why) as told:
            load(path)
        assert name in str(told.value)


def test_what_it_cannot_register_is_bad_input(tmp_path):
    path = file_of(tmp_path, still())
    with pytest.raises(BadInput, match="uniGradICON registers volumes"):
        engine(path).register(head(2), head(2), silent)
    with pytest.raises(BadInput, match="give --weights"):
        open_registrar("unigradicon", Options(device="cpu"))
    opened = open_registrar("unigradicon", Options(device="cpu", weights=str(path), refine=True, linear="rigid"))
    assert opened.around == Around("uniGradICON", True, "lncc", "rigid", 8, 0, "cpu")
