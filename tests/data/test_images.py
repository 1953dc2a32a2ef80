import io
import struct
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from examples import drawn_files
from keras_segen.data import _images as images
from keras_segen.data import _windows as windows
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
    assert windows.check_image(path).way == windows.OTHER


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_rotated_png_is_upright_in_all_ways(colours, tmp_path, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(colours, tmp_path / "a.png", exif=exif)
    upright = drawn_files.turned(colours, orientation)
    np.testing.assert_array_equal(images.read_image(path), upright)
    checked = windows.check_image(path)
    assert (checked.height, checked.width) == upright.shape[:2]
    part = windows.load_window(tf.constant(str(path)), tf.constant(checked.way), tf.constant([1, 2, 3, 4]))
    np.testing.assert_array_equal(part, upright[1:4, 2:6])
    mask = save(colours[..., 0], tmp_path / "mask.png", exif=exif)
    np.testing.assert_array_equal(images.read_mask(mask), upright[..., 0])


@pytest.mark.parametrize("depth", [1, 2, 4, 8])
@pytest.mark.parametrize("colour", [0, 3])
def test_masks_of_few_bits_hold_ids(tmp_path, depth, colour):
    ids = np.random.default_rng(0).integers(0, 2**depth, (5, 6, 1))
    palette = np.arange(3 * 2**depth, dtype=np.uint8).reshape(-1, 3) if colour == 3 else None
    (tmp_path / "a.png").write_bytes(drawn_files.png(ids, depth, colour, palette=palette))
    np.testing.assert_array_equal(images.read_mask(tmp_path / "a.png"), ids[..., 0])


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
    way = windows.check_image(path).way
    part = windows.load_window(tf.constant(str(path)), tf.constant(way), tf.constant([3, 5, 20, 30]))
    difference = part.numpy().astype(int) - images.read_image(path)[3:23, 5:35]
    assert not difference.any()


def test_a_part_of_a_jpeg_has_the_colours_of_the_whole(tmp_path):
    colours = np.random.default_rng(0).integers(0, 256, (40, 70, 3), dtype=np.uint8)
    path = save(colours, tmp_path / "a.jpg", quality=95)  # colours at half the size, interpolated
    whole = images.read_image(path)
    for window in ([0, 0, 40, 70], [3, 16, 20, 32], [0, 1, 5, 1], [39, 69, 1, 1], [7, 33, 11, 37]):
        top, left, height, width = window
        part = windows.load_window(tf.constant(str(path)), tf.constant(windows.JPEG), tf.constant(window))
        np.testing.assert_array_equal(part, whole[top : top + height, left : left + width])


def jpeg(**options) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (6, 3), dtype=np.uint8)).save(buffer, "jpeg", **options)
    return buffer.getvalue()


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
        ("endless.png", drawn_files.png(np.zeros((3, 3, 3), int), 8, 2)[:-1], "truncated .its end is missing"),
        ("without.png", drawn_files.png(np.zeros((3, 3, 3), int), 8, 2)[:-12], "truncated .its end is missing"),
        ("endless.jpg", jpeg(restart_marker_blocks=1)[:-1], "truncated .its end is missing"),
        ("begun.jpg", truncated("jpeg")[:30], "truncated"),
        (
            "wrong.png",
            drawn_files.png(np.ones((9, 9, 3), int), 8, 2).replace(b"IDATx", b"IDAT?"),
            "wrong checksum of IDAT",
        ),
    ],
)
def test_bad_files_are_named(tmp_path, name, contents, message):
    path = tmp_path / name
    path.write_bytes(contents)
    for read in (images.read_image, images.read_mask, windows.check_image):
        with pytest.raises(InputError, match=message) as caught:
            read(path)
        assert str(path) in str(caught.value)
        assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere.png"):
        images.read_image(tmp_path / "nowhere.png")


@pytest.mark.parametrize(
    ("mode", "name", "options"),
    [
        ("RGB", "a.webp", {"lossless": True}),
        ("RGBA", "a.webp", {"lossless": True}),
        ("P", "a.gif", {"save_all": True, "append_images": [Image.new("P", (7, 9))]}),
        ("RGB", "a.tif", {}),
        ("L", "a.tif", {"compression": "tiff_lzw"}),
        ("RGBA", "a.tif", {}),
        ("CMYK", "a.tif", {}),
        ("I;16", "a.tif", {}),
    ],
)
def test_other_formats_are_read(colours, tmp_path, mode, name, options):
    picture = Image.fromarray(colours)
    picture = Image.fromarray(colours[..., 0].astype(np.uint16) * 257) if mode == "I;16" else picture.convert(mode)
    picture.save(tmp_path / name, **options)
    levels = np.repeat(colours[..., :1], 3, -1) if mode == "I;16" else np.asarray(picture.convert("RGB"))
    np.testing.assert_array_equal(images.read_image(tmp_path / name), levels)


def tiff(samples: np.ndarray, **tags: int | tuple[int, ...]) -> bytes:
    """Write one page, uncompressed, by the specification alone."""
    height, width, channels = samples.shape
    entries = {"width": width, "height": height, "bits": (samples.itemsize * 8,) * channels, "compression": 1}
    entries |= {"photometric": 1, "offset": 8, "channels": channels, "rows": height, "bytes": samples.nbytes} | tags
    numbers = {"width": 256, "height": 257, "bits": 258, "compression": 259, "photometric": 262, "offset": 273}
    numbers |= {"channels": 277, "rows": 278, "bytes": 279, "extra": 338, "format": 339}
    directory = b""
    beyond, after = b"", 8 + samples.nbytes + 2 + 12 * len(entries) + 4
    for name, value in sorted(entries.items(), key=lambda entry: numbers[entry[0]]):
        values = value if isinstance(value, tuple) else (value,)
        data = struct.pack(f"<{len(values)}H", *values).ljust(4, b"\0")
        if len(data) > 4:
            data, beyond = struct.pack("<I", after + len(beyond)), beyond + data
        directory += struct.pack("<HHI", numbers[name], 3, len(values)) + data
    head = b"II*\0" + struct.pack("<I", 8 + samples.nbytes)
    return head + samples.tobytes() + struct.pack("<H", len(entries)) + directory + bytes(4) + beyond


BANDS = np.full((4, 4, 4), 50, np.uint8)


@pytest.mark.parametrize(
    ("contents", "message"),
    [
        (tiff(np.full((4, 4, 1), 0.5, np.float32), format=3), "not whole numbers"),
        (tiff(np.full((4, 4, 1), -5, np.int16), format=2), "signed"),
        (tiff(np.full((4, 4, 1), -5, np.int8), format=2), "signed"),
        (tiff(np.full((4, 4, 1), 5, np.uint32)), "more than 16 bits"),
        (tiff(BANDS, photometric=2), "has 4 bands, and does not say"),
        (tiff(BANDS, photometric=2, extra=0), "has 4 bands, and does not say"),
        (tiff(BANDS), "cannot be read: save it as PNG"),
        (tiff(BANDS[..., :2], extra=0), "has 2 bands, and does not say"),
        (tiff(np.full((4, 4, 1), 9, np.uint16), photometric=0), "from white to black"),
    ],
)
def test_a_tiff_that_would_be_read_wrongly_is_refused(tmp_path, contents, message):
    path = tmp_path / "a.tif"
    path.write_bytes(contents)
    for read in (images.read_image, windows.check_image):
        with pytest.raises(InputError, match=f"a.tif: .*{message}"):
            read(path)


def test_a_tiff_of_alpha_is_read(tmp_path):
    (tmp_path / "a.tif").write_bytes(
        tiff(np.array([[[200, 0, 0, 0], [200, 9, 0, 255]]], np.uint8), photometric=2, extra=2)
    )
    assert images.read_image(tmp_path / "a.tif")[0].tolist() == [[255] * 3, [200, 9, 0]]


def test_pages_are_not_dropped(colours, tmp_path):
    pages = [Image.fromarray(colours), Image.fromarray(255 - colours)]
    pages[0].save(tmp_path / "a.tif", save_all=True, append_images=pages[1:])
    for read in (images.read_image, images.read_mask, windows.check_image):
        with pytest.raises(InputError, match="has 2 pages: save each"):
            read(tmp_path / "a.tif")


@pytest.mark.parametrize(("depth", "level", "shown"), [(1, 1, 0), (2, 2, 85), (4, 9, 136), (8, 9, 8), (16, 65279, 253)])
def test_a_transparent_grey_level_is_white(tmp_path, depth, level, shown):
    samples = np.array([[[level], [level - 1 if depth < 16 else 253 * 257]]])
    contents = drawn_files.png(samples, depth, 0, transparent=struct.pack(">H", level))
    (tmp_path / "a.png").write_bytes(contents)
    assert images.read_image(tmp_path / "a.png")[0, :, 0].tolist() == [255, shown]


def test_images_of_twelve_bits_are_told_of(tmp_path):
    deep = np.array([[0, 4095]], np.uint16)
    path = save(deep, tmp_path / "a.png")
    with pytest.warns(UserWarning, match=r"no value over 4095: .* \(16 of 255 at most\): multiply the values by 16 "):
        assert images.read_image(path).max() == 16
    assert windows.check_image(path).peak == 4095
    with pytest.warns(UserWarning, match="^2 images have 16 bits, but no value over 4095: "):
        images.warn_of_dim([4095, None, 300])
    images.warn_of_dim([None, 4095, 65000])  # one of them is as bright as it should be
    images.read_image(save(deep * 16, tmp_path / "b.png"))


def test_a_decompression_bomb_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    for shape in ((9, 7), (20, 20)):  # beyond the limit, and beyond twice the limit, where Pillow itself refuses
        with pytest.raises(InputError, match="decompression bomb: .* allow more with --max-pixels N"):
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
