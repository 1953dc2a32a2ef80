"""Shapes: rendered scenes of shapes on textured ground, made while training reads them. It needs no files."""

import math
from typing import Any, Literal, Unpack

import numpy as np
import tensorflow as tf

from keras_segen._masks import VOID
from keras_segen.data._batching import Batching, batches, check_batching, check_image_size
from keras_segen.ranges import to_uint8
from keras_segen.types import Tensor

CLASS_NAMES = ("background", "circle", "square", "triangle", "star", "cross")
num_classes = len(CLASS_NAMES)
COUNTS = {"train": 2048, "val": 256, "test": 256}

OBJECTS = 6  # places for an object in a scene, the later ones on top: as many as there are colours (see `_colours`)
VISIBLE = 0.8  # an object that shows less of its area, because of others or of the border, is left out
RADIUS = 0.13, 0.22  # of the circle of an object's area, in image sizes
LEAST_RADIUS = 3.5  # pixels: all of a smaller star or cross would be void
CONTRAST = 0.3, 0.8  # distance of an object's colour from the ground's, in RGB from 0 to 1
TEXTURE = 0.05, 0.2  # range of a texture, in the same unit
NOISE = 0.01, 0.05  # greatest noise of a pixel, in the same unit
EXPOSURE = 0.6, 1.1  # share of its contrast that the scene keeps
SHADE = 0.4  # steepest change of the light across the image, as a share
PERIOD = 0.08, 0.25  # of a texture's stripes, in image sizes
BLOTCHES = 10  # of a texture along each side of the image

# The shapes, in the order of their classes. A point p is inside when the greatest of its products n·p with the shape's
# unit normals n is at most the first limit, and the second greatest at most the second. The first limit alone makes a
# regular polygon. A point of the star lies behind at least four of its five lines, which is the second limit. The
# cross has |x| and |y| for products: both within its length, one within its half-width. The circle's is |p|.
# The limits give each shape the area of the unit circle, so that size tells nothing of the class.
_SIDES = (0, 4, 3, 5, 4)
_LIMITS = np.array([(1, 9), (0.8862, 9), (0.7776, 9), (9, 0.5169), (1.2772, 0.3576)], np.float32)
# A shape of fewer sides has zeros for the others, which change nothing.
_NORMALS = np.array(
    [[(math.cos(math.tau * i / n), math.sin(math.tau * i / n)) if i < n else (0, 0) for i in range(5)] for n in _SIDES],
    np.float32,
)


def shapes(
    split: str = "train",
    *,
    image_size: int = 64,
    count: int | None = None,
    target: Literal["mask", "label"] | None = "mask",
    **batching: Unpack[Batching],
) -> tf.data.Dataset:
    """Render scenes of circles, squares, triangles, stars and crosses as a data set that is ready for `fit`.

    Objects overlap each other and the border, in any colour, texture, size and rotation, whatever their class; light,
    contrast and noise vary. As in Pascal VOC, the outline of each object is void. See `scene`.

    Args:
        split: The split: "train", "val" or "test"; no scene is in two of them.
        image_size: The side of the images in pixels, at least 16.
        count: The number of scenes in the split; by default 2048, 256 and 256. A larger split begins with the smaller
            one's scenes.
        target: The target beside the image: the "mask", the "label" of the main object, or None.
        batching: `batch_size=16`, `training=False`, `seed=0` and `start=None`; see `Batching`. The scenes follow from
            the seed too.

    Returns:
        Batches of (image float32 (batch, image_size, image_size, 3) in [0, 255], mask uint8 (batch, image_size,
        image_size) of indices into `CLASS_NAMES`, 255 being void) for "mask"; (image float32 in [-1, 1], label int32
        (batch,) of indices into `CLASS_NAMES[1:]`) for "label"; of images in [-1, 1] alone for None.

    Raises:
        ValueError: For an unknown split or target, an image below 16 pixels, or no scenes at all.

    Example:
        >>> train = ks.data.shapes("train", image_size=32, count=8, batch_size=4, training=True)
        >>> images, masks = next(iter(train))
        >>> images.shape, masks.shape
        (TensorShape([4, 32, 32, 3]), TensorShape([4, 32, 32]))
    """
    _check(split, image_size)
    if target not in ("mask", "label", None):
        raise ValueError(f'`target` must be "mask", "label" or None. Received: target={target!r}')
    count = COUNTS[split] if count is None else count
    if count < 1:
        raise ValueError(f"`count` must be at least 1. Received: count={count}")

    check_batching(batching)
    seed = batching.get("seed", 0)

    @tf.autograph.experimental.do_not_convert
    def sample(index: Tensor, draw: Tensor) -> Tensor:
        image, mask, label = scene(index, split=split, seed=seed, image_size=image_size)
        if target == "mask":
            return image, mask
        image = image / 127.5 - 1
        return (image, label) if target == "label" else image

    return batches(count, sample, **batching)


def scene(index: Tensor, *, split: str = "train", seed: int = 0, image_size: int = 64) -> tuple[Tensor, Tensor, Tensor]:
    """Render one scene with TensorFlow: the same arguments give the same bits, in whatever order or thread.

    Args:
        index: The number of the scene, an integer or an integer scalar; there is no last one.
        split: The split: "train", "val" or "test".
        seed: The seed of the scenes.
        image_size: The side of the image in pixels, at least 16. At another size most objects are the same; the noise
            is not.

    Returns:
        image: The image, float32 (image_size, image_size, 3), whole numbers in [0, 255].
        mask: The mask, uint8 (image_size, image_size), indices into `CLASS_NAMES`, and 255 for void: a border around
            the visible part of each object, 1 pixel wide, or 1/80 of the image size if that is more.
        label: The class of the main object, which has the most pixels in the mask: an int32 scalar, an index into
            `CLASS_NAMES[1:]`.

    Raises:
        ValueError: For an unknown split, or an image below 16 pixels.
    """
    _check(split, image_size)
    # Only operations that IEEE 754 rounds correctly, so no sines: another processor or thread must not change a bit.
    # Nor must the graph optimiser, which reorders sums: the clipping below stops it, and a test watches.
    with tf.device("CPU"):
        key = tf.stack([tf.constant(seed, tf.int64), tf.cast(index, tf.int64)])
        key = tf.random.fold_in(key, list(COUNTS).index(split), alg="philox")
        objects_key, texture_key, colours_key, light_key = tf.unstack(tf.random.split(key, 4, alg="philox"))

        classes, distances = _objects(objects_key, image_size)
        textures = _textures(texture_key, image_size)
        colours, grains = _colours(colours_key)

        # Half the border: within half a pixel of an edge a pixel mixes two colours and belongs to neither.
        margin = max(1.0, image_size / 80) / 2
        image = colours[0] + textures[0] * grains[0]  # colours lead, (3, height, width), until the end: that is quicker
        owners, border = tf.zeros([image_size, image_size], tf.int32), OBJECTS + 1
        for i, distance in enumerate(tf.unstack(distances), start=1):
            surface = colours[i] + textures[i] * grains[i]
            image += tf.clip_by_value(0.5 - distance, 0, 1) * (surface - image)
            owners = tf.where(distance < margin, tf.where(distance < -margin, i, border), owners)
        image = _light(light_key, tf.clip_by_value(image, 0, 1))

        mask = tf.gather(tf.cast(tf.concat([[0], 1 + classes, [VOID]], 0), tf.uint8), owners)
        pixels = tf.reduce_sum(tf.cast(owners == tf.range(1, OBJECTS + 1)[:, None, None], tf.int32), [1, 2])
        label = tf.gather(classes, tf.argmax(pixels))
    return image, mask, label


def scenes(split: str, count: int, image_size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the first scenes of a split as arrays.

    Args:
        split: The split: "train", "val" or "test".
        count: The number of scenes.
        image_size: The side of the images in pixels, at least 16.

    Returns:
        Images uint8 (count, image_size, image_size, 3) and labels int32 (count,), indices into `CLASS_NAMES[1:]`.

    Example:
        >>> images, labels = ks.data.scenes("test", count=4, image_size=32)
        >>> images.shape, labels.shape
        ((4, 32, 32, 3), (4,))
    """
    batches = list(shapes(split, image_size=image_size, batch_size=256, count=count, target="label"))
    images = np.concatenate([to_uint8(image.numpy()) for image, _ in batches])
    return images, np.concatenate([label for _, label in batches])


def _check(split: str, image_size: int) -> None:
    if split not in COUNTS:
        raise ValueError(f"`split` must be one of {', '.join(COUNTS)}. Received: split={split!r}")
    check_image_size(image_size)
    if image_size is None or image_size < 16:
        raise ValueError(f"`image_size` must be at least 16 pixels. Received: image_size={image_size}")


def _uniform(key: Any, shape: list[int], low: float = 0.0, high: float = 1.0) -> Tensor:
    return tf.random.stateless_uniform(shape, key, low, high, alg="philox")


def _within(limits: tuple[float, float], share: Tensor) -> Tensor:
    return limits[0] + (limits[1] - limits[0]) * share


def _directions(vectors: Tensor) -> Tensor:
    """Scale vectors (..., n) to length 1."""
    length = tf.sqrt(tf.reduce_sum(vectors * vectors, -1, keepdims=True))
    return vectors / tf.maximum(length, 1e-6)  # without the floor the graph optimiser takes an inexact rsqrt


def _objects(key: Any, size: int) -> tuple[Tensor, Tensor]:
    """Place the objects.

    Returns:
        Classes from 0, int32 (OBJECTS,), and each pixel's signed distance to each object's outline, in pixels, negative
        inside, infinite everywhere for an object that is left out: float32 (OBJECTS, size, size). Around corners it is
        the distance to the outline's continued sides.
    """
    kind, radius, x, y, *turn, number = tf.unstack(_uniform(key, [7, OBJECTS]))
    classes = tf.cast(kind * len(_SIDES), tf.int32)
    min_radius = max(RADIUS[0] * size, LEAST_RADIUS)
    radius = _within((min_radius, min_radius + (RADIUS[1] - RADIUS[0]) * size), radius)
    cos, sin = tf.unstack(_directions(2 * tf.stack(turn, -1) - 1), axis=-1)

    pixels = tf.range(size, dtype=tf.float32) + 0.5
    x, y = (pixels - (radius + share * (size - 2 * radius))[:, None] for share in (x, y))  # (OBJECTS, size)
    normals = tf.gather(_NORMALS, classes)  # (OBJECTS, sides, 2)
    normal_x = normals[..., 0] * cos[:, None] - normals[..., 1] * sin[:, None]
    normal_y = normals[..., 0] * sin[:, None] + normals[..., 1] * cos[:, None]
    first = tf.sqrt((x * x)[:, None, :] + (y * y)[:, :, None])  # (OBJECTS, size, size)
    first = tf.where((classes == 0)[:, None, None], first, 0)
    second = tf.zeros_like(first)
    for side in range(_NORMALS.shape[1]):
        product = (normal_x[:, side, None] * x)[:, None, :] + (normal_y[:, side, None] * y)[:, :, None]
        second = tf.maximum(second, tf.minimum(first, product))
        first = tf.maximum(first, product)
    limits = (tf.gather(_LIMITS, classes) * radius[:, None])[..., None, None]  # (OBJECTS, 2, 1, 1)
    distances = tf.maximum(first - limits[:, 0], second - limits[:, 1])

    numbers = tf.range(OBJECTS)
    lowest = tf.cast(number[0] * OBJECTS, tf.int32)  # the first place that is taken
    inside = (distances < 0) & (numbers >= lowest)[:, None, None]
    top = tf.reduce_max(tf.where(inside, numbers[:, None, None], -1), 0)
    visible = tf.reduce_sum(tf.cast(top == numbers[:, None, None], tf.float32), [1, 2])
    kept = (visible >= VISIBLE * math.pi * radius * radius) | (numbers == OBJECTS - 1)
    return classes, tf.where((kept & (numbers >= lowest))[:, None, None], distances, math.inf)


def _textures(key: Any, size: int) -> Tensor:
    """Draw a texture for the ground and for each object, float32 (1 + OBJECTS, size, size) in [0, 1]."""
    surfaces = 1 + OBJECTS
    blotches_key, stripes_key = tf.unstack(tf.random.split(key, alg="philox"))
    blotches = tf.image.resize(_uniform(blotches_key, [surfaces, BLOTCHES, BLOTCHES, 1]), [size, size])[..., 0]
    share, period, phase, *direction = tf.unstack(_uniform(stripes_key, [5, surfaces, 1]))
    waves = _directions(2 * tf.concat(direction, -1) - 1) / _within(PERIOD, period)  # (surfaces, 2), per image size
    pixels = (tf.range(size, dtype=tf.float32) + 0.5) / size
    x, y = waves[:, :1] * pixels + phase, waves[:, 1:] * pixels
    stripes = x[:, None, :] + y[:, :, None]
    stripes = tf.abs(2 * (stripes - tf.floor(stripes)) - 1)
    return blotches + share[..., None] * (stripes - blotches)


def _colours(key: Any) -> tuple[Tensor, Tensor]:
    """Draw the colour of the ground and of each object, and its range over the texture, both (1 + OBJECTS, 3, 1, 1)."""
    colours_key, grains_key, contrast_key, axes_key = tf.unstack(tf.random.split(key, 4, alg="philox"))
    ground = _uniform(colours_key, [1, 3], 0.3, 0.7)
    # A random reflection gives three colour axes; one object goes each way along each. So no two come out alike.
    normal = _directions(_uniform(axes_key, [1, 3], -1, 1))
    axes = tf.eye(3) - 2 * normal * tf.transpose(normal)
    contrast = _uniform(contrast_key, [OBJECTS, 1], *CONTRAST)
    objects = ground + contrast * tf.concat([axes, -axes], 0)
    grain, *direction = tf.unstack(_uniform(grains_key, [4, 1 + OBJECTS, 1]))
    grains = _within(TEXTURE, grain) * _directions(2 * tf.concat(direction, -1) - 1)
    colours = tf.concat([ground, objects], 0) - grains / 2
    return colours[..., None, None], grains[..., None, None]


def _light(key: Any, image: Tensor) -> Tensor:
    """Expose, shade and quantise an image (3, size, size) in [0, 1] to (size, size, 3) in [0, 255], with noise."""
    size = image.shape[-1]
    light_key, noise_key = tf.unstack(tf.random.split(key, alg="philox"))
    exposure, noise, *slope = tf.unstack(_uniform(light_key, [4]))
    pixels = (tf.range(size, dtype=tf.float32) + 0.5) / size - 0.5
    x, y = (1 + _within((-SHADE, SHADE), share) * pixels for share in slope)
    shade = x * y[:, None]
    image = (0.5 + _within(EXPOSURE, exposure) * (image - 0.5)) * shade
    image += _within(NOISE, noise) * _uniform(noise_key, [3, size, size], -1, 1)
    return tf.transpose(tf.round(255 * tf.clip_by_value(image, 0, 1)), [1, 2, 0])
