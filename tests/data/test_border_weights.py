import numpy as np
import pytest
from scipy import ndimage

from keras_segen.data import border_weights


def by_hand(instances, weight, sigma):
    """Equation 2 with all distances of all pixels."""
    places = {i: np.argwhere(instances == i) for i in np.unique(instances[instances > 0])}
    weights = np.ones(instances.shape)
    for place in np.argwhere(instances == 0):
        distances = sorted(np.sqrt(((pixels - place) ** 2).sum(1)).min() for pixels in places.values())
        if len(distances) > 1:
            weights[tuple(place)] += weight * np.exp(-((distances[0] + distances[1]) ** 2) / (2 * sigma**2))
    return weights


@pytest.mark.parametrize(("weight", "sigma"), [(10, 5), (3, 1.5)])
@pytest.mark.parametrize("seed", range(4))
def test_weights_equal_the_equation(seed, weight, sigma):
    rng = np.random.default_rng(seed)
    instances, _ = ndimage.label(ndimage.gaussian_filter(rng.normal(size=(40, 60)), 2) > 0.12)
    instances *= 300  # any numbers
    found = border_weights(instances, weight=weight, sigma=sigma)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(instances, weight, sigma), atol=weight * 4e-4)
    assert found.max() > 1


def test_one_object_has_no_gap():
    instances = np.zeros((9, 9), np.uint16)
    assert (border_weights(instances) == 1).all()
    instances[3:5, 3:5] = 7
    assert (border_weights(instances) == 1).all()


@pytest.mark.parametrize(
    ("instances", "options"),
    [
        (np.zeros((2, 2)), {}),
        (np.zeros((2, 2, 1), int), {}),
        (np.full((2, 2), -1), {}),
        (np.zeros((2, 2), int), {"weight": 0}),
        (np.zeros((2, 2), int), {"sigma": np.nan}),
    ],
)
def test_what_cannot_be_is_refused(instances, options):
    with pytest.raises(ValueError, match="Received"):
        border_weights(instances, **options)
