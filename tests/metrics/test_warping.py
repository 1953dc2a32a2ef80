import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays
from skimage.measure import label

from keras_segen.metrics import warping_error
from keras_segen.metrics._warping import _NEIGHBOURS, _is_simple

masks = arrays.arrays(bool, strategies.tuples(strategies.integers(1, 9), strategies.integers(1, 9)))


def topology(mask):
    """How many objects there are, and how many connected parts of the background."""
    padded = np.pad(mask, 1)
    return label(padded, connectivity=1).max(), label(~padded, connectivity=2).max()


@pytest.mark.parametrize("bits", range(256))
def test_a_pixel_is_simple_if_turning_it_over_changes_no_count_of_its_neighbourhood(bits):
    ring = [bool(bits >> i & 1) for i in range(8)]
    patch = np.zeros((3, 3), bool)
    for (down, right), value in zip(_NEIGHBOURS, ring, strict=True):
        patch[1 + down, 1 + right] = value
    on, off = patch.copy(), patch.copy()
    on[1, 1] = True

    def parts(mask):
        return label(mask, connectivity=1).max(), label(~mask, connectivity=2).max()

    # In the neighbourhood alone, a ring around the pixel is not closed from outside: both counts must stay.
    same = parts(on) == parts(off)
    assert _is_simple(ring) == same


def image(*rows):
    return np.array([[pixel == "#" for pixel in row] for row in rows])


def test_a_shifted_border_costs_nothing():
    truth = image("......", ".###..", ".###..", "......")
    assert warping_error(truth, image("......", "..###.", ".####.", "......")) == 0


def test_a_split_costs_a_pixel_and_a_merger_the_gap():
    whole = image(".......", ".#####.", ".#####.", ".......")
    split = image(".......", ".##.##.", ".##.##.", ".......")
    assert warping_error(whole, split) == 1 / 28  # all of the gap but one pixel can be turned over
    assert warping_error(split, whole) == 2 / 28  # each of its pixels joins both sides


def test_an_object_too_many_costs_its_area_and_a_lost_one_all_but_a_pixel_of_it():
    nothing, square = np.zeros((6, 6), bool), np.zeros((6, 6), bool)
    square[2:4, 2:4] = True
    assert warping_error(nothing, square) == 4 / 36
    assert warping_error(square, nothing) == 1 / 36  # it shrinks to one pixel


def test_a_hole_is_background():
    filled = np.ones((5, 5), bool)
    hollow = filled.copy()
    hollow[2, 2] = False
    assert warping_error(filled, hollow) == 1 / 25


@hypothesis.given(masks)
def test_a_mask_is_its_own_warp(mask):
    assert warping_error(mask, mask) == 0


@hypothesis.given(masks, strategies.data())
def test_the_error_is_at_most_the_share_of_pixels_that_differ(truth, data):
    predicted = data.draw(arrays.arrays(bool, truth.shape))
    error = warping_error(truth, predicted)
    assert 0 <= error <= np.mean(truth != predicted)
    if topology(truth) != topology(predicted):
        assert error > 0


@pytest.mark.parametrize(
    ("truth", "predicted", "message"),
    [
        (np.zeros((3, 3)), np.zeros((3, 4)), r"\(3, 3\) and \(3, 4\)"),
        (np.zeros((1, 3, 3)), np.zeros((1, 3, 3)), "one shape"),
        (np.zeros((0, 3)), np.zeros((0, 3)), "one shape"),
        (np.zeros((3, 3)), np.full((3, 3), 2), r"Received: \[2\]"),
        (np.full((3, 3), np.nan), np.zeros((3, 3)), "Received"),
    ],
)
def test_what_is_no_mask_is_refused(truth, predicted, message):
    with pytest.raises(ValueError, match=message):
        warping_error(truth, predicted)
