"""Registration by a network of our own training, with weights made by hand; training itself is tested in `training`."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch
from safetensors.torch import save_file

from medseg.engines import adding
from medseg.engines.registrars_catalog import Options, open_registrar
from medseg.errors import BadInput, Failed
from medseg.geometry import Geometry
from medseg.progress import silent
from medseg.registrars import pair_networks
from medseg.registrars.halves import Halves, displacements
from medseg.registrars.learned import unfolded
from medseg.registration import Guidance, InvertibleRegistrar, folding, jacobian_determinant
from registration_networks import ARGUMENTS, SPACING, run_of
from registration_phantoms import SMALL_TURN, errors, head, moved, swelling

STILL = sitk.Transform(3, sitk.sitkIdentity)


def pushing(channel, voxels):
    """Weights whose velocity is the same everywhere: half of `voxels` from either image, last axis first."""
    state = pair_networks.build("VelocityUNet", ARGUMENTS).state_dict()
    state = {name: torch.zeros_like(value) for name, value in state.items()}
    state["up.0.bias"] += 1  # every feature before the head is 1
    state["last.weight"][channel, :, 1, 1, 1] = voxels / 2 / 2
    return state


def engine(run, **more):
    return open_registrar("learned", Options(weights=str(run), device="cpu", **{"linear": "none", **more}))


@pytest.mark.parametrize(("channel", "axis"), [(0, (0, 0, 1)), (1, (0, 1, 0)), (2, (1, 0, 0))])
@pytest.mark.parametrize(("orientation", "signs"), [("", (1, 1, 1)), ("RAS", (-1, -1, 1))])
def test_the_channels_are_the_axes_of_the_cards_grid_last_one_first(tmp_path, channel, axis, orientation, signs):
    there, back = engine(run_of(tmp_path, pushing(channel, 1.5), orientation)).register_both(head(), head(), silent)
    wanted = 1.5 * SPACING * np.array(axis) * signs
    assert np.allclose(np.subtract(there.TransformPoint((3.0, 4.0, 5.0)), (3, 4, 5)), wanted, atol=0.05)
    assert np.allclose(np.subtract(back.TransformPoint((3.0, 4.0, 5.0)), (3, 4, 5)), -wanted, atol=0.05)


def test_the_linear_transform_comes_first_and_is_in_the_result(tmp_path):
    found, back = engine(run_of(tmp_path)).register_both(
        moved(SMALL_TURN), head(), silent, Guidance(initial=SMALL_TURN)
    )
    assert errors(found, SMALL_TURN).max() < 1e-6
    assert np.allclose(back.TransformPoint(found.TransformPoint((10.0, 20.0, 5.0))), (10, 20, 5), atol=1e-6)
    assert isinstance(engine(tmp_path), InvertibleRegistrar)


def test_both_images_are_seen_upright_and_where_the_linear_transform_puts_them():
    fixed = moved(SMALL_TURN)
    grid = pair_networks.frame(fixed, (30, 32, 34), (5.0, 5.0, 5.0), "RAS")
    first, second = pair_networks.seen(fixed, STILL, grid), pair_networks.seen(head(), SMALL_TURN, grid)
    assert first.shape == (1, 1, 30, 32, 34)
    assert float((first - second).abs().mean()) < 0.01
    assert (float(first.min()), float(first.max())) == (0.0, 1.0)
    upside_down = pair_networks.seen(fixed, STILL, pair_networks.frame(fixed, (30, 32, 34), (5.0, 5.0, 5.0), "LPS"))
    assert torch.allclose(upside_down.flip(2, 3), first, atol=1e-5)


def test_what_lies_outside_an_image_is_dark():
    air = head() - 1000.0
    grid = pair_networks.frame(air, (48, 48, 48), (5.0, 5.0, 5.0))
    assert float(pair_networks.seen(air, STILL, grid)[0, 0, 0, 0, 0]) == 0.0


def test_a_single_field_in_halves_is_what_both_halves_make():
    velocity = torch.randn(1, 3, 9, 10, 11, generator=torch.Generator().manual_seed(0))
    halves = Halves(-velocity, velocity)
    apart = displacements(Halves(-velocity, velocity + 1e-7), (1.0, 1.0, 1.0))
    for one, other in zip(displacements(halves, (1.0, 1.0, 1.0)), apart, strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_what_folds_is_blurred_until_it_does_not():
    wild = 6 * torch.randn(1, 3, 16, 16, 16, generator=torch.Generator().manual_seed(0))
    found = unfolded(Halves(-wild, wild))
    grid = Geometry((16, 16, 16), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    field = np.moveaxis(found.there[0].double().numpy(), 0, -1)
    transform = sitk.DisplacementFieldTransform(sitk.Cast(grid.image(field), sitk.sitkVectorFloat64))
    assert folding(jacobian_determinant(transform, grid.crop([1] * 3, [14] * 3))).non_positive_percent == 0
    with pytest.raises(Failed, match="folds"):
        unfolded(Halves(-1000 * wild, 1000 * wild))


def test_a_run_its_card_and_its_weights_are_all_taken(tmp_path):
    run = run_of(tmp_path)
    opened = [engine(path) for path in (run, run / "card.json", run / "weights.safetensors")]
    assert {one.weights for one in opened} == {(run / "weights.safetensors").resolve()}
    assert {one.card.name for one in opened} == {"heads"}


def test_what_is_no_trained_registration_is_bad_input(tmp_path):
    with pytest.raises(BadInput, match="give --weights RUN"):
        open_registrar("learned", Options(device="cpu"))
    with pytest.raises(BadInput, match="does not exist"):
        engine(tmp_path / "gone")
    with pytest.raises(BadInput, match=r"has no card\.json"):
        engine(tmp_path)
    run = run_of(tmp_path)
    (run / "other.safetensors").write_bytes(b"")
    with pytest.raises(BadInput, match="not among the weights"):
        engine(run / "other.safetensors")
    save_file(pushing(0, 1.0), run / "weights.safetensors")
    with pytest.raises(BadInput, match="not the ones its card names"):
        engine(run)
    with pytest.raises(BadInput, match="registers nothing: its engine is network"):
        engine(run_of(tmp_path, engine="network", segments=[{"value": 1, "name": "A", "color": [1, 0, 0]}]))


def test_weights_of_another_network_and_unknown_options_are_bad_input(tmp_path):
    with pytest.raises(BadInput, match="another network than VelocityUNet"):
        engine(run_of(tmp_path, {"a": torch.zeros(1)})).register(head(), head(), silent)
    with pytest.raises(BadInput, match="unknown measure 'mattes'"):
        engine(run_of(tmp_path), measure="mattes")
    with pytest.raises(BadInput, match="heads registers volumes"):
        engine(run_of(tmp_path)).register(head(2), head(2), silent)
    with pytest.raises(BadInput, match="linear"):
        engine(run_of(tmp_path)).register(head(), head(), silent, Guidance(initial=swelling()))


def test_a_registration_network_is_not_installed_among_those_that_segment(tmp_path, monkeypatch):
    monkeypatch.setenv("MEDSEG_HOME", str(tmp_path / "home"))
    with pytest.raises(BadInput, match="--engine learned"):
        adding.add(run_of(tmp_path))
