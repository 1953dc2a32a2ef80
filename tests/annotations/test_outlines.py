"""Outlines give back the very mask, by COCO's own rasteriser, and cross nowhere."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from keras_segen.annotations._outlines import outlines
from keras_segen.annotations._regions import Polygons, crossing

MASKS = arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


@settings(max_examples=300, deadline=None)
@given(MASKS)
def test_the_outlines_of_any_mask_give_it_back(mask):
    polygons = [np.array(ring, float) for ring in outlines(mask)]
    if not mask.any():
        assert polygons == []
        return
    assert Polygons(polygons).fault() is None
    runs = coco_mask.frPyObjects([ring.ravel().tolist() for ring in polygons], *mask.shape)
    np.testing.assert_array_equal(coco_mask.decode(coco_mask.merge(runs)), mask)


def test_a_square_has_four_corners_clockwise():
    mask = np.zeros((6, 8), bool)
    mask[1:4, 2:7] = True
    assert outlines(mask) == [[(2, 1), (7, 1), (7, 4), (2, 4)]]


def test_pixels_that_meet_by_corners_are_polygons_of_their_own():
    assert len(outlines(np.eye(3, dtype=bool))) == 3


def test_a_hole_is_cut_open_from_above():
    mask = np.ones((5, 5), bool)
    mask[2, 2] = False
    assert outlines(mask) == [[(0, 0), (2, 0), (2, 2), (2, 3), (3, 3), (3, 2), (2, 2), (2, 0), (5, 0), (5, 5), (0, 5)]]


@pytest.mark.parametrize(
    ("corners", "at"),
    [
        ([(0, 0), (4, 4), (4, 0), (0, 4)], (2, 2)),  # a bow tie
        ([(0, 0), (4, 0), (4, 4), (0, 4)], None),
        ([(0, 0), (4, 0), (2, 0), (2, 3)], None),  # a side on another one
        ([(0, 0), (6, 0), (6, 4), (3, 0), (0, 4)], None),  # a corner on a side
    ],
)
def test_sides_that_cross_are_found(corners, at):
    assert crossing(np.array(corners, float)) == at


def test_a_crossing_far_down_a_long_polygon_is_found():
    angles = np.linspace(0, 2 * np.pi, 3000, endpoint=False)
    circle = np.stack([100 * np.cos(angles), 100 * np.sin(angles)], -1)
    assert crossing(circle) is None
    circle[[2000, 2010]] = circle[[2010, 2000]]
    assert crossing(circle) is not None
