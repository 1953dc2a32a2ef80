import numpy as np
import pytest

from keras_segen.latents import slerp, standard_normal, straight, traversal


def test_a_seed_fixes_latents_and_a_larger_draw_begins_alike():
    few, many = (standard_normal(n, 5, seed=3) for n in (4, 1000))
    np.testing.assert_array_equal(few, many[:4])
    assert many.dtype == np.float32
    assert abs(many.mean()) < 0.05
    assert many.std() == pytest.approx(1, abs=0.05)
    assert not np.array_equal(few, standard_normal(4, 5, seed=4))


def test_slerp_stays_on_the_sphere_at_even_angles():
    path = slerp(np.array([2.0, 0, 0]), np.array([0, 2.0, 0]), 4)
    angles = np.deg2rad([0, 30, 60, 90])
    np.testing.assert_allclose(path, 2 * np.stack([np.cos(angles), np.sin(angles), 0 * angles], 1), atol=1e-6)
    path = slerp(np.array([1.0, 0]), np.array([0, 3.0]), 3)
    np.testing.assert_allclose(np.linalg.norm(path, axis=1), [1, 2, 3], rtol=1e-6)


def test_slerp_in_one_direction_is_straight():
    one = np.array([1.0, 1.0])
    np.testing.assert_allclose(slerp(one, 3 * one, 3), [one, 2 * one, 3 * one], rtol=1e-6)


def test_slerp_needs_two_directions_that_are_not_opposite():
    one = np.array([1.0, 1.0])
    with pytest.raises(ValueError, match="A latent of zeros has no direction"):
        slerp(one, 0 * one, 3)
    with pytest.raises(ValueError, match="The latents lie in opposite directions"):
        slerp(one, -2 * one, 3)


@pytest.mark.parametrize("interpolate", [slerp, straight])
def test_what_cannot_be_interpolated_is_named(interpolate):
    one = np.array([1.0, 1.0])
    with pytest.raises(ValueError, match="Received: steps=1"):
        interpolate(one, one, 1)
    with pytest.raises(ValueError, match=r"Received: shapes \(2,\) and \(1,\)"):
        interpolate(one, one[:1], 3)
    with pytest.raises(ValueError, match=r"Received: shapes \(1, 2\) and \(1, 2\)"):
        interpolate(one[None], one[None], 3)
    with pytest.raises(ValueError, match="Received: NaN or inf"):
        interpolate(one * np.nan, one, 3)


@pytest.mark.parametrize("which", [-1, 2, 0.5])
def test_what_cannot_be_traversed_is_named(which):
    with pytest.raises(ValueError, match=f"from 0 to 1. Received: which={which}"):
        traversal(np.array([1.0, 1.0]), which, np.array([0.0]))


def test_straight_and_traversal():
    way = straight(np.array([0.0, 2]), np.array([1.0, 0]), 3)
    np.testing.assert_array_equal(way, [[0, 2], [0.5, 1], [1, 0]])
    changed = traversal(np.array([7.0, 8, 9]), 1, np.array([-3.0, 3]))
    np.testing.assert_array_equal(changed, [[7, -3, 9], [7, 3, 9]])
    assert way.dtype == changed.dtype == np.float32
