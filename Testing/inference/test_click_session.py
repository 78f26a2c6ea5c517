"""Sessions on a network of known behaviour: where it looks, what of its answer counts, and what is left alone."""

import numpy as np
import pytest
import SimpleITK as sitk

from click_stand_in import stand_in
from contract.interactive_contract import InteractiveContract
from medseg.geometry import Geometry
from medseg.inference import click_session
from medseg.progress import silent
from medseg.prompt import Box, Point

GRID = Geometry((90, 80, 70), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), (1.0, 0, 0, 0, 1.0, 0, 0, 0, 1.0))


class TestStandIn(InteractiveContract):
    """The session, apart from what its network has learnt."""

    @pytest.fixture
    def engine(self):
        return stand_in()


def ball(centre, radius, grid=GRID):
    return sum((a - c) ** 2 for a, c in zip(np.indices(grid.shape), centre[::-1], strict=True)) < radius**2


def image_of(bright):
    noise = np.random.default_rng(0).normal(0, 4, GRID.shape)
    return GRID.image((100 + 150 * bright + noise).astype(np.float32))


def clicked(session, place, positive=True, mask=None):
    mask = np.zeros(GRID.shape, bool) if mask is None else mask.copy()
    crop = session.prompt(Point(GRID.point(place), positive))
    mask[GRID.slices_of(Geometry.of(crop))] = sitk.GetArrayFromImage(crop) > 0
    return mask


def overlap(one, other):
    return 2 * (one & other).sum() / (one.sum() + other.sum())


@pytest.fixture
def looked(monkeypatch):
    """The steps of the cubes that were looked at."""
    steps = []
    whole = click_session.ClickSession._view
    monkeypatch.setattr(click_session.ClickSession, "_view", lambda self, step: steps.append(step) or whole(self, step))
    return steps


def test_what_does_not_fit_into_the_cube_is_looked_at_from_farther_away(looked):
    truth = ball((45, 40, 35), 30)
    with stand_in(window=24).open(image_of(truth), silent) as session:
        assert overlap(clicked(session, (45, 40, 35)), truth) > 0.8  # four voxels in one
    assert looked[:3] == [1.0, 2.0, 4.0]


def test_what_is_small_is_looked_at_more_closely(looked):
    truth = ball((45, 40, 35), 4)
    with stand_in().open(image_of(truth), silent) as session:
        assert overlap(clicked(session, (45, 40, 35)), truth) > 0.85
    assert 0.5 <= looked[-1] < 1.0  # and it is the last that counts


def test_a_correction_is_looked_at_as_widely_as_the_click_lies_deep(looked):
    truth = ball((45, 40, 35), 24)
    with stand_in(window=24).open(image_of(truth), silent) as session:
        session.seed(GRID.image(truth.astype(np.uint8)))
        clicked(session, (45, 40, 35), positive=False)
        deep, looked[:] = max(looked), []
        clicked(session, (20, 40, 35))
    assert deep >= 24 / 4
    assert looked[0] == 1.0


def test_what_is_far_from_the_mask_is_found_as_well_as_the_first_thing_was():
    here, there = ball((20, 20, 20), 8), ball((70, 60, 50), 4)
    with stand_in().open(image_of(here | there), silent) as session:
        session.seed(GRID.image(here.astype(np.uint8)))
        mask = clicked(session, (70, 60, 50), mask=here)
    assert overlap(mask & ~here, there) > 0.85


def test_what_lies_much_farther_than_the_border_of_the_mask_is_not_taken_away():
    long = np.zeros(GRID.shape, bool)
    long[32:39, 37:44, 5:85] = True
    with stand_in(window=64).open(image_of(long), silent) as session:
        found = clicked(session, (45, 40, 35))
        mask = clicked(session, (15, 40, 35), positive=False, mask=found)
    assert found[35, 40, 10:80].all()
    assert not mask[35, 40, 10:20].any()
    assert mask[35, 40, 45:80].all()


def test_the_same_cube_is_cut_out_once(monkeypatch):
    truth, cut = ball((45, 40, 35), 10), []
    kind = click_session.ClickSession
    whole = kind._cube_of
    monkeypatch.setattr(kind, "_cube_of", lambda self, view: cut.append(view) or whole(self, view))
    with stand_in().open(image_of(truth), silent) as session:
        for _ in range(3):
            clicked(session, (45, 40, 35))
    assert len(cut) == len(set(cut))


def test_a_mask_that_was_handed_in_changes_only_near_the_click():
    """Two bright bridges hang together; the click is near the border of the mask, so only what is near is added."""
    there = ball((20, 40, 35), 10)
    bridge = np.zeros(GRID.shape, bool)
    bridge[33:38, 38:43, 20:80] = True
    with stand_in(window=64).open(image_of(there | bridge), silent) as session:
        session.seed(GRID.image(there.astype(np.uint8)))
        mask = clicked(session, (33, 40, 35), mask=there)
    added = np.argwhere(mask & ~there)
    assert len(added)
    assert added[:, 2].max() < 33 + 4 * 5 + 2
    assert (mask & bridge & ~there).any()


def test_what_the_session_found_itself_may_change_as_a_whole():
    truth = ball((45, 40, 35), 14)
    with stand_in(window=64).open(image_of(truth), silent) as session:
        mask = clicked(session, (45, 40, 35))
        assert overlap(mask, truth) > 0.95
        mask = clicked(session, (45, 40, 35), positive=False, mask=mask)
    assert not mask.any()


def test_earlier_clicks_are_not_overruled():
    truth = ball((45, 40, 35), 14)
    with stand_in(window=64).open(image_of(truth), silent) as session:
        mask = clicked(session, (50, 40, 35), positive=False)
        mask = clicked(session, (42, 40, 35), mask=mask)
    assert mask[35, 40, 42]
    assert not mask[35, 40, 50]


def test_a_box_is_a_limit():
    truth = ball((45, 40, 35), 14)
    with stand_in(window=64).open(image_of(truth), silent) as session:
        crop = session.prompt(Box((40.0, 30.0, 30.0), (50.0, 50.0, 40.0)))
    found = np.argwhere(sitk.GetArrayFromImage(crop) > 0) + [round(x) for x in crop.GetOrigin()[::-1]]
    assert found.min(0).tolist() >= [30, 30, 40]
    assert (found.max(0) <= [40, 50, 50]).all()
    assert len(found) > 1000
