"""Regions against masks drawn by hand, pycocotools and scikit-image."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco_mask

from keras_segen.annotations._regions import Bitmap, Ellipse, Polygons, Runs, Union, counts_of_text


@settings(max_examples=200, deadline=None)
@given(arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))))
def test_run_lengths_equal_pycocotools(mask):
    runs = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    counts = counts_of_text(runs["counts"].decode())
    np.testing.assert_array_equal(Runs.of(counts, *mask.shape, by_column=True).mask(*mask.shape), mask)


def test_long_run_lengths_equal_pycocotools():
    mask = np.zeros((700, 900), np.uint8)
    mask[3:650, 10:12], mask[600:, 500:] = 1, 1
    counts = counts_of_text(coco_mask.encode(np.asfortranarray(mask))["counts"].decode())
    np.testing.assert_array_equal(Runs.of(counts, 700, 900, by_column=True).mask(700, 900), mask)


def test_runs_along_rows():
    runs = Runs.of([1, 2, 3], 2, 3, by_column=False, left=1)
    assert runs.mask(2, 4).astype(int).tolist() == [[0, 0, 1, 1], [0, 0, 0, 0]]


@pytest.mark.parametrize("text", ["~~", "0\n", "P", "oooooooooooooooo"])
def test_damaged_text_is_refused(text):
    with pytest.raises(ValueError, match="has run lengths that"):
        counts_of_text(text)


@pytest.mark.parametrize("counts", [[1, 2], [5, 2], [-1, 7], ["a"], [None], [1e400, 1], [2**62] * 4 + [6]])
def test_runs_that_do_not_fit_are_refused(counts):
    with pytest.raises(ValueError, match="has run lengths"):
        Runs.of(counts, 2, 3, by_column=True)


def test_polygons_equal_pycocotools():
    rng = np.random.default_rng(0)
    for _ in range(50):
        parts = [rng.uniform(-5, 30, (rng.integers(3, 8), 2)) for _ in range(2)]
        runs = coco_mask.frPyObjects([part.ravel().tolist() for part in parts], 20, 24)
        np.testing.assert_array_equal(Polygons(parts).mask(20, 24), coco_mask.decode(coco_mask.merge(runs)))


def test_a_circle_is_scikit_images_disk():
    disk = pytest.importorskip("skimage.draw").disk
    expected = np.zeros((20, 30), bool)
    expected[disk((9, 12), 6.2, shape=expected.shape)] = True
    # scikit-image counts from pixels' centres.
    np.testing.assert_array_equal(Ellipse((12.5, 9.5), (6.2, 6.2)).mask(20, 30), expected)


def test_a_turned_ellipse_equals_the_upright_one_seen_from_the_side():
    upright = Ellipse((10, 10), (8, 3)).mask(20, 20)
    assert 70 < upright.sum() < 80  # 24 pi
    np.testing.assert_array_equal(Ellipse((10, 10), (8, 3), 90).mask(20, 20), upright.T)
    assert Ellipse((10, 10), (8, 3), 45).mask(20, 20)[14, 14]  # clockwise, as y goes down


def test_a_bitmap_has_its_place():
    mask = Bitmap(np.array([[True, False], [True, True]]), left=2, top=1).mask(4, 5)
    assert np.argwhere(mask).tolist() == [[1, 2], [2, 2], [2, 3]]
    with pytest.raises(ValueError, match="ends at x 5, y 4, and its image is 4×4"):
        Bitmap(np.ones((1, 1), bool), left=4, top=3).mask(4, 4)


def test_a_union_holds_all():
    both = Union([Bitmap(np.ones((1, 1), bool)), Bitmap(np.ones((1, 1), bool), left=1, top=1)])
    assert both.mask(2, 2).tolist() == [[True, False], [False, True]]
    assert "begins at x -1" in Union([Bitmap(np.ones((1, 1), bool), left=-1)]).fault().words


@pytest.mark.parametrize(
    ("region", "words"),
    [
        (Polygons([]), "has no polygon"),
        (Polygons([np.zeros((0, 2))]), "is a polygon of 0 corners"),
        (Polygons([np.array([[0, 0], [1, 1.0]])]), "is a polygon of 2 corners"),
        (Polygons([np.array([[0, 0], [np.nan, 1], [2, 2]])]), "lies nowhere near the image"),
        (Polygons([np.array([[0, 0], [1e9, 1], [2, 2]])]), "lies nowhere near the image"),
        (Polygons([np.array([[0, 0], [4, 4], [4, 0], [0, 4.0]])]), "crosses itself at x 2.0, y 2.0"),
        (Ellipse((1, 1), (0, 1)), "is an ellipse of radii 0 and 1"),
        (Ellipse((1, 1), (1, float("nan"))), "is an ellipse"),
        (Bitmap(np.ones((1, 1), bool), left=-1), "begins at x -1, y 0, outside the image"),
    ],
)
def test_faults_are_named(region, words):
    assert words in region.fault().words
