import io
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from keras_segen.data import images
from keras_segen.errors import InputError


@pytest.fixture
def colours() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)


def save(array, path, mode=None, **options) -> Path:
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(path, **options)
    return path


@pytest.mark.parametrize("name", ["a.png", "a.bmp"])
def test_colours_come_back_exactly(colours, tmp_path, name):
    np.testing.assert_array_equal(images.read_image(save(colours, tmp_path / name)), colours)


def test_grey_becomes_three_channels(colours, tmp_path):
    grey = colours[..., 0]
    np.testing.assert_array_equal(images.read_image(save(grey, tmp_path / "a.png")), np.stack([grey] * 3, -1))


def test_sixteen_bits_are_scaled(tmp_path):
    grey = np.array([[0, 257, 65535, 128 * 257]], np.uint16)
    assert images.read_image(save(grey, tmp_path / "a.png"))[0, :, 0].tolist() == [0, 1, 255, 128]


def test_palettes_are_looked_up(tmp_path):
    flat = np.repeat(np.array([[[255, 0, 0], [0, 153, 0]]], np.uint8), 3, axis=0)
    for name in ("a.png", "a.bmp"):
        np.testing.assert_array_equal(images.read_image(save(flat, tmp_path / name, mode="P")), flat)


def test_transparency_lies_over_white(tmp_path):
    rgba = np.array([[[200, 0, 0, 255], [200, 0, 0, 0], [0, 0, 0, 51]]], np.uint8)
    assert images.read_image(save(rgba, tmp_path / "a.png"))[0].tolist() == [[200, 0, 0], [255] * 3, [204] * 3]


def test_a_cameras_rotation_is_applied(colours, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90° clockwise to see it upright
    path = save(colours, tmp_path / "a.jpg", exif=exif, quality=100, subsampling=0)
    upright = images.read_image(path)
    assert upright.shape == (7, 9, 3)
    assert np.abs(upright.astype(int) - np.rot90(colours, -1)).max() < 30
    assert images.check_image(path).way == images.OTHER


@pytest.mark.parametrize("mode", ["1", "L", "P", "I;16"])
def test_masks_of_every_kind_hold_ids(tmp_path, mode):
    ids = np.array([[0, 1, 1], [1, 0, 0]], np.uint8)
    if mode == "1":
        image = Image.fromarray(ids * 255).convert("1")
    elif mode == "P":
        image = Image.fromarray(ids, mode="P")
        image.putpalette([9, 9, 9, 200, 30, 30])
    else:
        image = Image.fromarray(ids.astype(np.uint16) if mode == "I;16" else ids)
    image.save(tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.mode == mode
    np.testing.assert_array_equal(images.read_mask(tmp_path / "a.png"), ids)


@pytest.mark.parametrize(
    ("name", "mode"),
    [
        ("a.png", "RGB"),
        ("a.png", "L"),
        ("a.png", "RGBA"),
        ("a.png", "P"),
        ("a.jpg", "RGB"),
        ("a.jpg", "L"),
        ("a.bmp", "RGB"),
    ],
)
def test_the_graph_reads_what_pillow_reads(tmp_path, name, mode):
    smooth = np.linspace(0, 255, 40 * 50 * 3).reshape(40, 50, 3).astype(np.uint8)
    path = save(smooth, tmp_path / name, mode=mode)
    way = images.check_image(path).way
    part = images.load_window(tf.constant(str(path)), tf.constant(way), tf.constant([3, 5, 20, 30]))
    difference = part.numpy().astype(int) - images.read_image(path)[3:23, 5:35]
    assert np.abs(difference).max() <= (2 if name == "a.jpg" else 0)  # two builds of libjpeg may round differently


def truncated(suffix: str) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)).save(buffer, suffix)
    return buffer.getvalue()[: len(buffer.getvalue()) // 2]


@pytest.mark.parametrize(
    ("name", "contents", "message"),
    [
        ("empty.png", b"", "empty"),
        ("text.png", b"not an image", "not an image"),
        ("cut.jpg", truncated("jpeg"), "truncated"),
        ("cut.png", truncated("png"), "truncated"),
    ],
)
def test_bad_files_are_named(tmp_path, name, contents, message):
    path = tmp_path / name
    path.write_bytes(contents)
    for read in (images.read_image, images.read_mask, images.check_image):
        with pytest.raises(InputError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere.png"):
        images.read_image(tmp_path / "nowhere.png")


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    for shape in ((9, 7), (20, 20)):  # beyond the limit, and beyond twice the limit, where Pillow itself refuses
        with pytest.raises(InputError, match="decompression bomb"):
            images.read_image(save(np.zeros(shape, np.uint8), tmp_path / "a.png"))


@pytest.mark.parametrize(
    ("array", "name", "message"),
    [
        (np.zeros((4, 4, 3), np.uint8), "a.png", "mode RGB"),
        (np.zeros((4, 4, 4), np.uint8), "a.png", "mode RGBA"),
        (np.zeros((4, 4), np.uint8), "a.jpg", "JPEG"),
        (np.full((4, 4), 300, np.uint16), "a.png", "class id 300"),
    ],
)
def test_what_is_no_mask_is_refused(tmp_path, array, name, message):
    with pytest.raises(InputError, match=message):
        images.read_mask(save(array, tmp_path / name))
