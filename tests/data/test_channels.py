"""Images of any channels and depth: read exactly, and in training as if they had been stretched by hand."""

import hashlib
import io

import keras
import numpy as np
import pytest
import tensorflow as tf
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from keras_segen import data, losses, models
from keras_segen.errors import InputError

RNG = np.random.default_rng(0)


def values(shape, dtype):
    if np.dtype(dtype).kind == "f":
        return RNG.normal(size=shape).astype(dtype)
    info = np.iinfo(dtype)
    return RNG.integers(info.min, info.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "uint32", "float32", "float64"])
@pytest.mark.parametrize(
    ("shape", "layout", "options"),
    [
        ((9, 7), None, {}),
        ((9, 7, 3), None, {"photometric": "rgb"}),
        ((9, 7, 4), None, {"photometric": "minisblack", "planarconfig": "contig"}),
        ((4, 9, 7), [1, 2, 0], {"photometric": "minisblack", "planarconfig": "separate"}),
        ((5, 9, 7), [1, 2, 0], {"photometric": "minisblack"}),  # pages
        ((40, 50), None, {"tile": (16, 16)}),
        ((40, 50), None, {"compression": "lzw"}),
        ((40, 50, 3), None, {"compression": "deflate", "predictor": True, "photometric": "rgb"}),
    ],
)
def test_tiffs_hold_what_tifffile_wrote(tmp_path, shape, layout, options, dtype):
    pixels = values(shape, dtype)
    tifffile.imwrite(tmp_path / "a.tif", pixels, **options)
    expected = pixels if layout is None else np.transpose(pixels, layout)
    expected = expected[..., None] if expected.ndim == 2 else expected
    found = data.read_channels(tmp_path / "a.tif")
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, expected)


@settings(max_examples=30, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 9), st.integers(1, 6)),
    dtype=st.sampled_from(["bool", "uint8", "int16", "uint16", "float16", "float32", "float64"]),
)
def test_arrays_hold_what_numpy_saved(tmp_path_factory, shape, dtype):
    path = tmp_path_factory.mktemp("array") / "a.npy"
    pixels = RNG.integers(0, 2, shape).astype(dtype)
    np.save(path, pixels)
    found = data.read_channels(path)
    assert found.dtype == pixels.dtype
    np.testing.assert_array_equal(found, pixels)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_pngs_hold_what_tensorflow_wrote(tmp_path, channels, dtype):
    pixels = values((9, 7, channels), dtype)
    (tmp_path / "a.png").write_bytes(tf.io.encode_png(pixels).numpy())
    np.testing.assert_array_equal(data.read_channels(tmp_path / "a.png"), pixels)


def test_channels_become_others_only_where_nothing_is_lost(tmp_path):
    grey = values((5, 6, 1), "uint8")
    opaque = np.full((5, 6, 1), 255, np.uint8)
    by_name = {
        "grey": (grey, {1: grey, 3: grey.repeat(3, -1)}),
        "grey_alpha": (np.concatenate([grey, opaque], -1), {1: grey, 3: grey.repeat(3, -1)}),
        "grey_as_rgb": (grey.repeat(3, -1), {1: grey, 3: grey.repeat(3, -1)}),
        "grey_as_rgba": (np.concatenate([grey.repeat(3, -1), opaque], -1), {1: grey, 3: grey.repeat(3, -1)}),
    }
    for name, (pixels, expected) in by_name.items():
        path = tmp_path / f"{name}.png"
        path.write_bytes(tf.io.encode_png(pixels).numpy())
        for channels, wanted in expected.items():
            np.testing.assert_array_equal(data.read_channels(path, channels), wanted, err_msg=name)
    for pixels, channels in ((values((5, 6, 3), "uint8"), 1), (values((5, 6, 4), "uint8"), 3), (grey, 2)):
        (tmp_path / "b.png").write_bytes(tf.io.encode_png(pixels).numpy())
        with pytest.raises(
            InputError, match=rf"b\.png: has {pixels.shape[-1]} channels?, and {channels} (is|are) wanted"
        ):
            data.read_channels(tmp_path / "b.png", channels)


def npy(array, **options):
    file = io.BytesIO()
    np.save(file, array, **options)
    return file.getvalue()


def tiff(array, **options):
    file = io.BytesIO()
    tifffile.imwrite(file, array, **options)
    return file.getvalue()


@pytest.mark.parametrize(
    ("name", "contents", "words"),
    [
        ("a.npy", b"", "the file is empty|not an array"),
        ("a.npy", b"nonsense", "is not an array that NumPy reads"),
        ("a.npy", npy(np.zeros((9, 9)))[:-9], "is not an array that NumPy reads"),
        ("a.npy", npy(np.array([{}], object)), "is not an array that NumPy reads .*pickle"),
        ("a.npy", npy(np.zeros(5)), r"has the shape \(5,\)"),
        ("a.npy", npy(np.zeros((2, 5, 5, 3))), r"has the shape \(2, 5, 5, 3\)"),
        ("a.npy", npy(np.zeros((0, 5))), r"has the shape \(0, 5\)"),
        ("a.npy", npy(np.zeros((3, 5, 900))), "put the channels last"),
        ("a.npy", npy(np.array([["a"]])), "not numbers"),
        ("a.npy", npy(np.ones((2, 2), complex)), "not numbers"),
        ("a.tif", tiff(np.ones((9, 9), "uint16"))[:-30], "is damaged or truncated"),
        ("a.tif", tiff(np.ones((9, 9), "uint16"), photometric="miniswhite"), "from white to black"),
        ("a.tif", b"II*\0rubbish", "is damaged or truncated"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, name, contents, words):
    (tmp_path / name).write_bytes(contents)
    with pytest.raises(InputError, match=rf"{name}: .*({words})"):
        data.read_channels(tmp_path / name)


def make_folder(root, images, *, ending="tif", masks=None):
    """Write images of any kind, and masks of two classes, as a folder of "train" and "val"."""
    for split in ("train", "val"):
        for i, pixels in enumerate(images):
            for kind in ("images", "masks"):
                (root / split / kind).mkdir(parents=True, exist_ok=True)
            path = root / split / "images" / f"{i}.{ending}"
            if ending == "npy":
                np.save(path, pixels)
            elif ending == "png":
                path.write_bytes(tf.io.encode_png(pixels[..., None] if pixels.ndim == 2 else pixels).numpy())
            else:
                tifffile.imwrite(
                    path, pixels, photometric="minisblack", planarconfig="contig" if pixels.ndim == 3 else None
                )
            mask = (np.arange(pixels.shape[0])[:, None] + np.arange(pixels.shape[1])) % 2
            Image.fromarray(mask.astype(np.uint8)).save(root / split / "masks" / f"{i}.png")
    return root


@pytest.mark.parametrize(("ending", "shape"), [("png", (40, 44)), ("npy", (40, 44, 5)), ("tif", (40, 44, 4))])
def test_folders_of_deep_images_are_read_as_they_are(tmp_path, ending, shape):
    images = [values(shape, "uint16") for _ in range(3)]
    root = make_folder(tmp_path, images, ending=ending)
    train = data.read_folder("train", root)
    channels = 1 if len(shape) == 2 else shape[2]
    assert train.channels == channels
    low, high = train.value_range
    # Without a thousandth of each image's values at either end.
    assert low == min(np.percentile(image, 0.1, method="lower") for image in images)
    assert high == max(np.percentile(image, 99.9, method="higher") for image in images)
    val = data.read_folder("val", root, channels=train.channels, value_range=train.value_range)
    assert val.value_range == train.value_range
    for (pixels, _), image in zip(val.dataset(batch_size=1), images, strict=True):
        np.testing.assert_array_equal(pixels[0], image.reshape(*shape[:2], channels).astype(np.float32))
    with pytest.raises(InputError, match="give `value_range`, that of the training images"):
        data.read_folder("val", root)


def test_pictures_of_8_bits_stay_rgb(tmp_path):
    root = make_folder(tmp_path, [values((40, 44), "uint8")] * 2, ending="png")
    assert (data.read_folder("val", root).channels, data.read_folder("val", root).value_range) == (3, None)
    grey = data.read_folder("val", root, channels=1)
    assert (grey.channels, grey.value_range) == (1, None)
    assert next(iter(grey.dataset()))[0].shape[-1] == 1


def test_arrays_of_8_bits_and_3_channels_keep_their_range(tmp_path):
    root = make_folder(tmp_path, [values((40, 44, 3), "uint8")] * 2, ending="npy")
    pairs = data.read_folder("val", root)
    assert (pairs.channels, pairs.value_range) == (3, (0.0, 255.0))
    assert next(iter(pairs.dataset()))[0].shape[-1] == 3


def test_a_folder_has_one_number_of_channels(tmp_path):
    root = make_folder(tmp_path, [values((40, 44, 4), "uint16"), values((40, 44, 5), "uint16")])
    with pytest.raises(InputError, match=r"1\.tif: has 5 channels, and 0\.tif has 4"):
        data.read_folder("train", root)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.full((9, 9), np.nan, np.float32), "holds values that are not numbers"),
        (np.full((9, 9), np.inf, np.float32), "not finite"),
        (np.full((9, 9), 7, np.uint16), "all images hold 7 alone"),
    ],
)
def test_values_without_a_range_are_refused(tmp_path, image, words):
    with pytest.raises(InputError, match=words):
        data.read_folder("train", make_folder(tmp_path, [image]))


@pytest.mark.parametrize("value_range", [(5, 5), (9, 1), (0, float("nan")), (0, float("inf")), (1, 2, 3)])
def test_ranges_are_two_numbers_in_order(tmp_path, value_range):
    with pytest.raises(ValueError, match="`value_range` must be two numbers in order"):
        data.read_folder("train", tmp_path, value_range=value_range)


def weights_after_training(root, **options):
    keras.utils.set_random_seed(0)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    pairs = data.read_folder("train", root, **options)
    model = models.unet(2, filters=(4, 8), input_channels=pairs.channels, value_range=pairs.value_range)
    model.compile("adam", losses.CrossEntropy())
    model.fit(
        pairs.dataset(image_size=32, batch_size=2, training=True, seed=3, start=0),
        steps_per_epoch=4,
        shuffle=False,
        verbose=0,
    )
    digest = hashlib.sha256()
    for weight in model.get_weights():
        digest.update(weight.tobytes())
    return pairs.value_range, digest.hexdigest()


def test_training_on_12_bits_equals_training_on_the_same_stretched_by_hand(tmp_path):
    images = [RNG.integers(0, 4096, (40, 44), "uint16") for _ in range(4)]
    deep = make_folder(tmp_path / "deep", images)
    stretched = make_folder(tmp_path / "stretched", [image * 16 for image in images])
    (low, high), found = weights_after_training(deep)
    (stretched_low, stretched_high), expected = weights_after_training(stretched)
    assert (stretched_low, stretched_high) == (16 * low, 16 * high)
    assert found == expected
    assert (
        weights_after_training(deep, value_range=(0, 4095))[1]
        == weights_after_training(stretched, value_range=(0, 16 * 4095))[1]
    )


def test_augmentation_of_a_range_is_that_of_bytes_to_their_scale(tmp_path):
    grey = [values((40, 44), "uint8") for _ in range(2)]
    as_bytes = data.read_folder("train", make_folder(tmp_path / "bytes", grey, ending="png"), channels=1)
    deep = data.read_folder(
        "train", make_folder(tmp_path / "deep", [100 + 2 * g.astype(np.uint16) for g in grey]), value_range=(100, 610)
    )
    options = {"image_size": 32, "batch_size": 2, "training": True, "seed": 1}
    (expected, masks), (found, same_masks) = (next(iter(pairs.dataset(**options))) for pairs in (as_bytes, deep))
    np.testing.assert_array_equal(masks, same_masks)
    np.testing.assert_allclose((found - 100) / 2, expected, atol=1e-3)


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_values_that_a_network_does_not_hold_are_refused(tmp_path, value):
    pixels = np.zeros((20, 30, 2))
    pixels[3, 4] = value
    np.save(tmp_path / "a.npy", pixels)
    with pytest.raises(InputError, match="a.npy: holds values that are not numbers, not finite, or over 3.4e38"):
        data.ImageKind(2, (0, 1)).read(tmp_path / "a.npy")
