"""All ways to read an image give the same pixels, or refuse it in the same words."""

from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf

from examples import drawn_files
from keras_segen.data import _images as images
from keras_segen.data import _pairs as pairs
from keras_segen.data import _windows as windows
from keras_segen.data._class_folders import ClassFolders
from keras_segen.data._image_files import image_batches
from keras_segen.errors import InputError
from keras_segen.serving._image_bytes import decode

SEEDS, FILES = range(5), 2000  # 10,000 files in all
SIDE = 7  # of the class folders' images

pytestmark = [
    pytest.mark.filterwarnings("ignore:an image of 16 bits"),
    pytest.mark.filterwarnings("ignore::UserWarning:PIL"),  # of files with their end cut off
]


@tf.function(input_signature=[tf.TensorSpec([], tf.string)])
def served(contents):
    return decode(contents, 3)


def sizes(rng: np.random.Generator) -> tuple[int, int]:
    """Mostly small sizes, from 1×1 to 40×40."""
    height, width = np.ceil(40 * rng.random(2) ** 2).astype(int)
    return max(1, int(height)), max(1, int(width))


def refusal(read, path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def a_window(rng: np.random.Generator, height: int, width: int) -> list[int]:
    top, left = rng.integers(0, height), rng.integers(0, width)
    return [top, left, rng.integers(1, height - top + 1), rng.integers(1, width - left + 1)]


def cut(image: np.ndarray, window: list[int]) -> np.ndarray:
    return image[window[0] : window[0] + window[2], window[1] : window[1] + window[3]]


@pytest.mark.slow
@pytest.mark.parametrize("seed", SEEDS)
def test_all_ways_of_reading_agree(seed, tmp_path, capsys):
    rng = np.random.default_rng(seed)
    read: list[tuple[drawn_files.Drawn, Path, np.ndarray, windows.Checked]] = []
    refused = 0
    for i in range(FILES):
        drawn = drawn_files.draw(rng, *sizes(rng))
        if rng.random() < 0.25:
            drawn = drawn_files.cut_off(drawn, int(rng.integers(1, 21)))
        path = tmp_path / f"{i}{drawn.suffix}"
        path.write_bytes(drawn.contents)
        expected = drawn.rgb if drawn.rgb is not None else drawn_files.pillows_reading(drawn.contents)
        if expected is None or drawn.refused:
            refused += 1
            check_that_all_refuse(drawn, path)
            continue
        image = images.read_image(path)
        np.testing.assert_array_equal(image, expected, f"seed {seed}, file {i}: {drawn.kind}")
        checked = windows.check_image(path)
        assert (checked.height, checked.width) == image.shape[:2]
        read.append((drawn, path, image, checked))
    kinds = [f"seed {seed}, {path.name}: {drawn.kind}" for drawn, path, *_ in read]
    check_the_graph(rng, read, kinds)
    check_what_is_served(read, kinds)
    check_pairs(rng, read, kinds, tmp_path)
    check_folders(read, kinds)
    with capsys.disabled():
        print(f"\nseed {seed}: {FILES} files, {len(read)} read alike in all ways, {refused} refused by all")


def check_that_all_refuse(drawn, path):
    words = refusal(images.read_image, path)
    assert refusal(windows.check_image, path) == words
    assert refusal(lambda path: pairs.read_pair(path, path, read_mask=lambda _: np.zeros((1, 1))), path) == words
    if drawn.suffix in (".png", ".jpg"):
        with pytest.raises(tf.errors.InvalidArgumentError) as caught:
            served(drawn.contents)
        said = next(part for part in ("is damaged or truncated", "has 16 bits and one transparent") if part in words)
        assert said in str(caught.value), (drawn.kind, words)


def check_the_graph(rng, read, kinds):
    """Whole images, and parts, with a switch among the ways and without, and quickly where this changes nothing."""
    whole = [[0, 0, *image.shape[:2]] for _, _, image, _ in read]
    parts = [a_window(rng, *image.shape[:2]) for _, _, image, _ in read]
    everything = np.arange(len(read))
    of_way = [everything[[checked.way == way for *_, checked in read]] for way in range(3)]
    assert all(len(part) for part in of_way)
    exact = everything[[checked.way != windows.JPEG or drawn.kind.startswith("JPEG L") for drawn, *_, checked in read]]
    for chosen, places, options in [
        (everything, whole, {}),
        *((part, parts, {"among": {way}}) for way, part in enumerate(of_way)),
        (exact, parts, {"quick": True}),
    ]:
        columns = ([str(read[i][1]) for i in chosen], [read[i][3].way for i in chosen], [places[i] for i in chosen])
        loaded = tf.data.Dataset.from_tensor_slices((columns[0], columns[1], np.array(columns[2], np.int32)))
        loaded = loaded.map(lambda *args, options=options: windows.load_window(*args, **options))
        for i, image in zip(chosen, loaded.as_numpy_iterator(), strict=True):
            np.testing.assert_array_equal(image, cut(read[i][2], places[i]), kinds[i])


def check_what_is_served(read, kinds):
    taken = [i for i, (drawn, *_) in enumerate(read) if drawn.suffix in (".png", ".jpg") and drawn.servable]
    answers = tf.data.Dataset.from_tensor_slices([read[i][0].contents for i in taken]).map(served)
    for i, image in zip(taken, answers.as_numpy_iterator(), strict=True):
        np.testing.assert_array_equal(image, read[i][2], kinds[i])
    for i in sorted({*range(len(read))} - {*taken})[::10]:
        with pytest.raises(tf.errors.InvalidArgumentError, match="not a JPEG or PNG|in CMYK|not in EXIF"):
            served(read[i][0].contents)


def check_pairs(rng, read, kinds, folder):
    """Images and masks of their sizes, as training reads them."""
    found, ids = [], []
    for i, (_, path, image, _) in enumerate(read):
        mask = drawn_files.draw_mask(rng, *image.shape[:2])
        (folder / f"mask{i}.png").write_bytes(mask.contents)
        np.testing.assert_array_equal(images.read_mask(folder / f"mask{i}.png"), mask.ids, f"{kinds[i]}; {mask.kind}")
        found.append(pairs.read_pair(path, folder / f"mask{i}.png"))
        ids.append(mask.ids)
    for i, (image, mask) in enumerate(pairs.Pairs(found).dataset(image_size=None).as_numpy_iterator()):
        np.testing.assert_array_equal(image[0], read[i][2], kinds[i])
        np.testing.assert_array_equal(mask[0], ids[i], kinds[i])


def check_folders(read, kinds):
    """Middle squares, as generators read them; and images as `evaluate --real A --fake B` does."""
    paths, checked = [path for _, path, *_ in read], [checked for *_, checked in read]
    folder = ClassFolders(paths[0].parent, ("one",), paths, np.zeros(len(paths), np.int32), checked)

    def squares():
        for *_, image, _ in read:
            height, width, _ = image.shape
            side = min(height, width)
            top, left = (height - side) // 2, (width - side) // 2
            yield image[top : top + side, left : left + side]

    expected = tf.data.Dataset.from_generator(squares, output_signature=tf.TensorSpec([None, None, 3], tf.uint8))
    expected = expected.map(lambda square: tf.image.resize(square, [SIDE, SIDE], antialias=True))
    answers = folder.decode(SIDE)
    for i, square in enumerate(expected.as_numpy_iterator()):
        np.testing.assert_array_equal(answers[i], np.clip(np.round(square), 0, 255), kinds[i])
    batches = image_batches(paths, 50)
    for first in range(0, len(read), 50):
        by_size: dict[tuple[int, ...], list[int]] = {}
        for i in range(first, min(first + 50, len(read))):
            by_size.setdefault(read[i][2].shape, []).append(i)
        for members, batch in zip(by_size.values(), batches, strict=False):
            for i, image in zip(members, batch, strict=True):
                np.testing.assert_array_equal(image, read[i][2], kinds[i])
    assert next(batches, None) is None
