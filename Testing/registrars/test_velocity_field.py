"""The diffeomorphic engine and its parts."""

import numpy as np
import pytest
import SimpleITK as sitk
import torch

from medseg.errors import BadInput
from medseg.geometry import Geometry
from medseg.progress import silent
from medseg.registrars import banded, flow, losses
from medseg.registrars.diffeomorphic import VelocityField
from medseg.registrars.fields import still_at_edge, unfolded
from medseg.registrars.velocity_field import Velocity, bending
from medseg.registration import (
    Guidance,
    InvertibleRegistrar,
    field_error,
    folding,
    inverse_consistency,
    jacobian_determinant,
)
from registration_phantoms import SMALL_TURN, errors, head, moved, swelling

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bent():
    """A head that was bent, the head itself, and how it was bent."""
    fine = head(size=54, spacing=3.0)
    known = swelling(grid=Geometry.of(fine))
    return moved(known, fine), fine, known


@pytest.fixture(scope="module")
def both_ways(bent):
    return VelocityField(measure="mind", linear="none", turns=0).register_both(bent[0], bent[1], silent)


def in_head(values: np.ndarray) -> np.ndarray:
    return values[sitk.GetArrayFromImage(head(size=54, spacing=3.0)) > 20]


def test_a_known_deformation_is_found(bent, both_ways):
    fixed, _, known = bent
    still = field_error(sitk.Transform(3, sitk.sitkIdentity), known, Geometry.of(fixed))
    found = field_error(both_ways[0], known, Geometry.of(fixed))
    assert in_head(found).mean() < 0.6 * in_head(still).mean()


def test_nothing_folds_and_forward_and_inverse_belong_together(bent, both_ways):
    grid = Geometry.of(bent[0])
    for transform in both_ways:
        assert folding(jacobian_determinant(transform, grid)).non_positive_percent == 0
    assert in_head(inverse_consistency(*both_ways, grid)).mean() < 0.1
    assert in_head(inverse_consistency(*both_ways, grid)).max() < 1.0


def test_it_bends_no_more_than_it_must(bent, both_ways):
    spread = folding(jacobian_determinant(both_ways[0], Geometry.of(bent[0]))).sd_log_jacobian
    known = folding(jacobian_determinant(bent[2], Geometry.of(bent[0]))).sd_log_jacobian
    assert spread < 1.5 * known


@pytest.mark.parametrize("measure", ["lncc", "ncc", "mi"])
def test_every_measure_finds_it(bent, measure):
    fixed, moving, known = bent
    found = VelocityField(measure=measure, linear="none", turns=0).register(fixed, moving, silent)
    still = in_head(field_error(sitk.Transform(3, sitk.sitkIdentity), known, Geometry.of(fixed))).mean()
    assert in_head(field_error(found, known, Geometry.of(fixed))).mean() < 0.85 * still


@pytest.mark.parametrize("measure", ["mi", "mind"])
def test_another_contrast_is_registered(bent, measure):
    fixed, moving, known = bent
    values = sitk.GetArrayFromImage(fixed)
    other = Geometry.of(fixed).image(np.where(values > 10, 60 + 130 * np.sin(values / 45.0) ** 2, 0).astype(np.float32))
    found = VelocityField(measure=measure, linear="none", turns=0).register(other, moving, silent)
    still = in_head(field_error(sitk.Transform(3, sitk.sitkIdentity), known, Geometry.of(fixed))).mean()
    assert in_head(field_error(found, known, Geometry.of(fixed))).mean() < 0.9 * still


def test_swapped_images_give_nearly_the_inverse_where_it_is_symmetric(bent):
    fixed, moving, _ = bent
    engine = VelocityField(symmetric=True, linear="none", turns=0)
    there = engine.register(fixed, moving, silent)
    back = engine.register(moving, fixed, silent)
    assert in_head(inverse_consistency(there, back, Geometry.of(fixed))).mean() < 0.5


def test_a_bent_initial_transform_is_part_of_the_result(bent):
    fixed, moving, known = bent
    found = VelocityField(measure="mind", linear="none", turns=0).register(
        fixed, moving, silent, Guidance(initial=known)
    )
    assert in_head(field_error(found, known, Geometry.of(fixed))).mean() < 0.5


def test_the_inverse_undoes_a_bent_initial_transform_too(bent):
    fixed, moving, known = bent
    start = sitk.CompositeTransform([sitk.Euler3DTransform((0.0, 0.0, 0.0), 0.05, 0.0, 0.0), known])
    there, back = VelocityField(linear="none", turns=0).register_both(fixed, moving, silent, Guidance(initial=start))
    assert in_head(inverse_consistency(there, back, Geometry.of(fixed))).mean() < 0.2


def test_a_folding_initial_transform_has_no_way_back(bent):
    fixed, moving, _ = bent
    folding_ = swelling(peak_mm=60.0, width_mm=10.0, grid=Geometry.of(fixed))
    with pytest.raises(BadInput, match="no way back"):
        VelocityField(linear="none", turns=0).register_both(fixed, moving, silent, Guidance(initial=folding_))


def test_what_lies_outside_the_mask_does_not_count(bent):
    fixed, moving, known = bent
    values = sitk.GetArrayFromImage(fixed)
    values[:, :, 30:] = np.roll(values, (6, 5), (0, 1))[:, :, 30:]  # the same head elsewhere: it leads astray
    spoilt = Geometry.of(fixed).image(values)
    mask = np.zeros(values.shape, np.uint8)
    mask[:, :, :27] = 1
    half = sitk.GetArrayFromImage(moving) > 20
    half[:, :, 23:] = False
    engine = VelocityField(linear="none", turns=0)
    guided, misled = (
        field_error(engine.register(spoilt, moving, silent, guidance), known, Geometry.of(fixed))[half].mean()
        for guidance in (Guidance(fixed_mask=Geometry.of(fixed).image(mask)), Guidance())
    )
    assert guided < 0.6 * misled


def test_what_lies_outside_the_moving_mask_does_not_count(bent):
    fixed, moving, known = bent
    values = sitk.GetArrayFromImage(moving)
    values[:, :, 30:] = np.roll(values, (6, 5), (0, 1))[:, :, 30:]
    spoilt = Geometry.of(moving).image(values)
    mask = np.zeros(values.shape, np.uint8)
    mask[:, :, :27] = 1
    half = sitk.GetArrayFromImage(fixed) > 20
    half[:, :, 23:] = False
    engine = VelocityField(linear="none", turns=0)
    guided, misled = (
        field_error(engine.register(fixed, spoilt, silent, guidance), known, Geometry.of(fixed))[half].mean()
        for guidance in (Guidance(moving_mask=Geometry.of(fixed).image(mask)), Guidance())
    )
    assert guided < 0.7 * misled


def test_no_window_holds_what_lies_outside_the_weight():
    random = torch.Generator().manual_seed(1)
    fixed, other, noise = (torch.rand(1, 1, 12, 12, 12, generator=random) for _ in range(3))
    weight = torch.zeros_like(fixed)
    weight[..., :7] = 1
    spoilt = torch.where(weight > 0, fixed, 5 * noise)
    assert losses.lncc(fixed, weight, 5)(other) == pytest.approx(float(losses.lncc(spoilt, weight, 5)(other)), abs=1e-6)


def test_it_knows_the_way_back():
    assert isinstance(VelocityField(), InvertibleRegistrar)


def test_a_preset_that_is_not_there_is_bad_input():
    with pytest.raises(BadInput, match="unknown preset 'slow'; choose one of fast, accurate"):
        VelocityField("slow")


def test_the_number_of_threads_is_left_alone():
    threads = torch.get_num_threads()
    VelocityField(linear="none", turns=0).register(moved(SMALL_TURN), head(), silent)
    assert torch.get_num_threads() == threads


def wild(amplitude: float) -> Velocity:
    grid = Geometry((20, 18, 16), (4.0, 4.0, 4.0), (0.0, 0.0, 0.0), tuple(np.eye(3).ravel()))
    noise = torch.from_numpy(np.random.default_rng(0).normal(0, amplitude, (1, 3, 16, 18, 20)).astype(np.float32))
    return Velocity(noise, grid)


def test_a_field_that_would_fold_is_blurred_until_it_does_not():
    rough = wild(8.0)
    assert flow.least_jacobian(flow.exponential(rough.values, rough.spacing, 7), rough.spacing).amin() < 0
    field, _, grid = unfolded(rough, 2.0)
    assert flow.least_jacobian(field, grid.spacing).amin() > 0


def test_what_lies_far_from_a_fold_is_not_blurred():
    grid = wild(1.0).grid
    gentle = banded.smooth(wild(20.0).values, [2.0] * 3)
    sharp = gentle.clone()
    sharp[..., 3:6, 3:6, 3:6] += 3 * wild(8.0).values[..., 3:6, 3:6, 3:6]
    assert flow.least_jacobian(flow.exponential(sharp, grid.spacing, 8), grid.spacing).amin() < 0
    found, wanted = (unfolded(Velocity(values, grid), 4.0)[0] for values in (sharp, gentle))
    assert flow.least_jacobian(found, grid.spacing).amin() > 0
    assert torch.allclose(found[..., 13:, 13:, 15:], wanted[..., 13:, 13:, 15:], atol=1e-4)


def test_the_exponential_of_the_negative_velocity_is_the_inverse():
    velocity = banded.smooth(wild(30.0).values, [3.0] * 3)
    spacing = (4.0, 4.0, 4.0)
    there, back = (flow.exponential(sign * velocity, spacing, 7) for sign in (1, -1))
    round_trip = there + flow.warped(back, there, spacing)
    assert there.abs().max() > 2
    assert round_trip[..., 3:-3, 3:-3, 3:-3].abs().max() < 0.15


def test_the_least_jacobian_is_that_of_the_mapping():
    field = torch.zeros(1, 3, 6, 6, 6)
    field[:, 0] = 0.5 * torch.arange(6.0)  # i axis: x -> 1.5 x at 1 mm
    assert torch.allclose(flow.least_jacobian(field, (1.0, 1.0, 1.0)), torch.tensor(1.5))
    assert torch.allclose(flow.least_jacobian(field, (2.0, 1.0, 1.0)), torch.tensor(1.25))


@pytest.mark.parametrize("name", list(losses.LOSSES))
def test_every_measure_is_least_where_images_agree(name):
    image = torch.from_numpy(sitk.GetArrayFromImage(head()))[None, None] / 250
    loss = losses.LOSSES[name](image)
    assert loss(image) < loss(torch.roll(image, 1, -1)) < loss(torch.roll(image, 3, -1))


def test_the_gradient_of_the_local_correlation_is_right():
    random = torch.Generator().manual_seed(3)
    fixed, other = (torch.rand(1, 1, 6, 7, 8, generator=random, dtype=torch.float64) for _ in range(2))
    loss = losses.lncc(fixed.float(), window=3)
    moved_ = other.float().requires_grad_(True)
    (gradient,) = torch.autograd.grad(loss(moved_), moved_)
    for place in ((0, 0, 3, 3, 4), (0, 0, 0, 0, 0), (0, 0, 5, 6, 7)):
        step = torch.zeros_like(moved_)
        step[place] = 1e-2
        numeric = (loss(moved_ + step) - loss(moved_ - step)) / 2e-2
        assert gradient[place].item() == pytest.approx(numeric.item(), rel=0.05, abs=1e-6)


def test_products_along_the_axes_do_what_convolutions_do():
    from scipy import ndimage

    volume = np.random.default_rng(0).normal(size=(20, 21, 22)).astype(np.float32)
    tensor = torch.from_numpy(volume)[None, None]
    inner = (slice(8, -8),) * 3
    blurred = banded.smooth(tensor, [1.0, 1.5, 2.0])[0, 0].numpy()
    assert np.allclose(blurred[inner], ndimage.gaussian_filter(volume, (1.0, 1.5, 2.0))[inner], atol=1e-3)
    box = banded.box_mean(tensor, 9)[0, 0].numpy()
    assert np.allclose(box[inner], ndimage.uniform_filter(volume, 9)[inner], atol=1e-5)


def test_a_smooth_field_keeps_its_shape_when_it_is_resized():
    ramp = torch.linspace(0, 1, 9).view(1, 1, 9, 1, 1).expand(1, 1, 9, 5, 5) ** 2
    finer = banded.resize(ramp.contiguous(), (33, 5, 5))
    assert torch.allclose(finer[0, 0, 4:-4, 2, 2], torch.linspace(0, 1, 33)[4:-4] ** 2, atol=2e-3)


def test_a_turned_grid_gets_vectors_in_patient_coordinates(bent):
    fixed, moving, known = bent
    turned = Geometry.of(fixed)
    order = sitk.PermuteAxes(fixed, [2, 0, 1])
    assert Geometry.of(order).direction != turned.direction
    found = VelocityField(measure="mind", linear="none", turns=0).register(order, moving, silent)
    still = errors(sitk.Transform(3, sitk.sitkIdentity), known).mean()
    assert errors(found, known).mean() < 0.6 * still


def test_an_affine_velocity_bends_nothing_and_a_parabola_costs_what_the_formula_says():
    k, j, i = torch.meshgrid(*[torch.arange(n, dtype=torch.float64) for n in (7, 8, 9)], indexing="ij")
    spacing = (2.0, 3.0, 4.0)
    x, y, z = i * 2, j * 3, k * 4
    affine = torch.stack([x + 2 * y - z, 0.5 * z, 3 - x])[None]
    assert bending(affine, spacing) < 1e-20
    bent = torch.stack([x**2, x * y, 0 * z])[None]
    wanted = (2.0**2 + 2 * 1.0**2) / 3 * 3.0**2  # means over three channels; the mean spacing is 3 mm
    assert float(bending(bent, spacing)) == pytest.approx(wanted)


def test_both_directions_of_a_velocity_undo_each_other_to_a_tenth_of_a_millimetre():
    smooth = banded.smooth(wild(60.0).values, [3.0] * 3)
    there, back, grid = unfolded(still_at_edge(Velocity(smooth, wild(1.0).grid)), 2.0)
    assert there.abs().max() > 5
    assert (there + flow.warped(back, there, grid.spacing)).square().sum(1).sqrt().mean() < 0.1
