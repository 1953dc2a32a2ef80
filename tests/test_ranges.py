import numpy as np
import pytest

from keras_segen.ranges import in_range, require_floats, require_whole_range, to_uint8

SHAPE = (4, 2, 2, 3)


def test_bytes_and_floats_become_floats():
    levels = np.arange(48, dtype="uint8").reshape(SHAPE) * 5
    expected = levels / 127.5 - 1
    np.testing.assert_allclose(in_range(levels), expected, atol=1e-7)
    for images in (expected, expected.astype("float16"), expected.astype("float32")):
        np.testing.assert_allclose(in_range(images), expected, atol=1e-3)
        assert require_floats(images).dtype == np.float32


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.full(SHAPE, np.nan), "NaN or inf"),
        (np.linspace(0, 255, 48).reshape(SHAPE), r"divide bytes by 127\.5 .* floats from 0 to 255"),
        (np.full(SHAPE, -3.0), "floats from -3 to -3"),
    ],
)
@pytest.mark.parametrize("look", [in_range, require_floats])
def test_another_range_is_refused(look, images, message):
    with pytest.raises(ValueError, match=message):
        look(images)


def test_networks_take_no_bytes():
    with pytest.raises(ValueError, match=r"divide bytes by 127\.5 and subtract 1. Received: uint8 from 0 to 0"):
        require_floats(np.zeros(SHAPE, "uint8"))


def test_images_from_0_to_1_are_refused():
    with pytest.raises(ValueError, match=r"floats in \[0, 1\], where \[-1, 1\] is due: give them as x \* 2 - 1"):
        require_floats(np.linspace(0, 1, 48).reshape(SHAPE))
    # White, mid-grey and black images may be in either range.
    for colour in (1.0, 0.05, 0.0, -1.0):
        require_floats(np.full(SHAPE, colour))
    for low, high, dtype in ((-1, 1, "float32"), (-0.1, 1, "float32"), (0.5, 1, "float32"), (0, 2, "uint8")):
        require_whole_range(low, high, dtype)
    with pytest.raises(ValueError, match="uint8 and all 0 or 1"):
        require_whole_range(0, 1, "uint8")


def test_bytes_are_rounded_not_cut():
    images = np.array([-1.5, -1, -0.004, 0.0, 0.999, 1.0])
    assert to_uint8(images).tolist() == [0, 0, 127, 128, 255, 255]
