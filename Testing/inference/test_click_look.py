"""Which of several cubes around a click answers best."""

import numpy as np
import pytest

from medseg.inference.click_look import Look, best_of, distance_to
from medseg.inference.click_view import View

COUNT, SHAPE = 32, (400, 400, 400)


def look(step: float, radius_mm: float, logit: float = 4.0) -> Look:
    """A ball about the click, as a cube of this resolution shows it."""
    view = View(SHAPE, (1.0, 1.0, 1.0), (200.0, 200.0, 200.0), step, COUNT)
    away = np.indices((COUNT,) * 3) - view.middle
    answer = (away**2).sum(0) * step**2 <= radius_mm**2
    return Look(view, np.where(answer, logit, -logit).astype(np.float32), 0.0, answer)


def test_an_answer_that_the_image_goes_on_beyond_is_cut_off():
    assert look(1.0, 30).cut_off
    assert not look(1.0, 10).cut_off
    whole = View((COUNT,) * 3, (1.0, 1.0, 1.0), (16.0, 16.0, 16.0), 1.0, COUNT)
    assert not Look(whole, np.ones((COUNT,) * 3, np.float32), 0.0, np.ones((COUNT,) * 3, bool)).cut_off


def test_the_same_ball_is_the_same_through_a_wider_cube():
    assert look(1.0, 12).agreement(look(2.0, 12)) > 0.8
    assert look(1.0, 6).agreement(look(2.0, 12)) == pytest.approx(1 / 8, abs=0.06)


def test_the_answer_that_two_cubes_agree_on_is_taken():
    looks = [look(1.0, 8), look(2.0, 20), look(4.0, 20), look(8.0, 100)]
    assert best_of(looks) in looks[1:3]


def test_an_answer_that_is_not_cut_off_is_taken_before_one_that_is():
    looks = [look(1.0, 30), look(2.0, 25)]
    assert best_of(looks) is looks[1]


def test_of_answers_that_agree_the_surest_is_taken():
    looks = [look(1.0, 12, 0.5), look(2.0, 12, 4.0)]
    assert best_of(looks) is looks[1]


def test_one_cube_is_the_best_of_one():
    only = look(1.0, 12)
    assert best_of([only]) is only


def test_the_distance_to_nothing_is_infinite():
    seeds = np.zeros((5, 5, 5), bool)
    seeds[2, 2, 2] = True
    border = np.zeros_like(seeds)
    assert distance_to(border, seeds) == float("inf")
    border[2, 2, 4] = True
    assert distance_to(border, seeds) == 2
