"""Decoding JPEG and PNG in a servable's graph, to the same pixels as `data.read_image`."""

from typing import Any

import tensorflow as tf

from keras_segen._encoded import DAMAGED, NOT_PLAIN, SAMPLINGS, SIGNATURE, UNCLEAR
from keras_segen.types import Tensor


def decode(contents: Tensor, channels: int) -> Tensor:
    """Decode a JPEG or PNG, upright, with transparent pixels laid over white.

    Files that TensorFlow does not decode as `data.read_image` does fail with a message, as do other formats.

    Args:
        contents: The file's bytes, a string scalar.
        channels: The number of channels, 1 or 3.

    Returns:
        The image, uint8 (height, width, channels).
    """
    png = tf.strings.substr(contents, 0, 8) == SIGNATURE
    jpeg = tf.strings.substr(contents, 0, 3) == b"\xff\xd8\xff"
    with tf.control_dependencies([_require(png | jpeg, "is not a JPEG or PNG")]):
        image = tf.cond(png, lambda: _png(contents), lambda: _jpeg(contents))
    image = tf.ensure_shape(image, [None, None, 3])
    return image if channels == 3 else tf.image.rgb_to_grayscale(image)


def decode_deep(contents: Tensor, channels: int) -> Tensor:
    """Decode a PNG of 8 or 16 bits as it is, to the same values as `data.read_channels`.

    Args:
        contents: The file's bytes, a string scalar.
        channels: The number of channels, from 1 to 4. Grey becomes three equal channels.

    Returns:
        The image, float32 (height, width, channels).
    """
    header = _bytes(contents, 24, 2)
    depth, colour = header[0], header[1]
    # By PNG's kinds of colour: grey, RGB, palette, grey and alpha, RGB and alpha.
    found = tf.gather(tf.constant([1, 0, 3, 0, 2, 0, 4]), tf.minimum(colour, 6))
    fits = (found == channels) | ((channels == 3) & (found == 1))
    checks = [
        _require(tf.strings.substr(contents, 0, 8) == SIGNATURE, "is not a PNG, which this model takes"),
        _require((depth >= 8) & (colour != 3), "is a PNG of fewer than 8 bits, or with a palette"),
        _require(fits, f"is a PNG of other channels than {channels}"),
    ]
    with tf.control_dependencies(checks):
        image = tf.cond(
            depth == 16,
            lambda: tf.cast(tf.io.decode_png(contents, channels, tf.uint16), tf.float32),
            lambda: tf.cast(tf.io.decode_png(contents, channels), tf.float32),
        )
    return tf.ensure_shape(image, [None, None, channels])


def _require(condition: Tensor, words: str) -> Tensor:
    return tf.debugging.Assert(condition, [f"image_bytes: {words}"])


def _png(contents: Tensor) -> Tensor:
    size = tf.cast(tf.strings.length(contents), tf.int64)

    def going_on(at: Tensor, whole: Any, *_: Any) -> Tensor:
        return (at + 12 <= size) & ~whole

    def step(at: Tensor, whole: Any, transparent: Tensor, exif: Tensor, elsewhere: Any) -> tuple[Any, ...]:
        data, length, name = at + 8, _number(_bytes(contents, at, 4)), tf.strings.substr(contents, at + 4, 4)
        after = data + length + 4
        text = tf.strings.regex_full_match(name, "tEXt|zTXt|iTXt")
        return (
            after,
            (name == b"IEND") & (after <= size),
            transparent | (name == b"tRNS"),
            tf.where(name == b"eXIf", tf.stack([data, length]), exif),
            elsewhere | tf.cond(text, lambda: _text_turns(contents, data, length), lambda: False),
        )

    no = tf.constant(False)
    # Whether the end is there, and a transparent colour; where EXIF is; whether another rotation may be.
    start = tf.constant(len(SIGNATURE), tf.int64), no, no, tf.zeros([2], tf.int64), no
    _, whole, transparent, exif, elsewhere = tf.while_loop(going_on, step, start)
    header = _bytes(contents, 24, 2)
    depth, colour = header[0], header[1]
    checks = [_require(whole, DAMAGED), _require((depth < 16) | (colour != 2) | ~transparent, UNCLEAR)]

    def deep_grey() -> Tensor:
        pixels = tf.cast(tf.io.decode_png(contents, channels=4, dtype=tf.uint16), tf.int32)
        return tf.cast(tf.where(pixels[..., 3:] == 0, 255, (pixels[..., :3] + 128) // 257), tf.uint8)

    def over_white() -> Tensor:
        pixels = tf.cast(tf.io.decode_png(contents, channels=4), tf.int32)
        colours, alpha = pixels[..., :3], pixels[..., 3:]
        # As Pillow rounds: 128 times a sum over 255, which is divided by shifts.
        scaled = (colours * alpha + 255 * (255 - alpha) + 128) * 128
        return tf.cast((scaled + scaled // 256) // 2**15, tf.uint8)

    def plain() -> Any:
        # Alpha is asked for only where there is some: for 1, 2 and 4 bits TensorFlow would fill in 1, 3 and 15 of 255.
        return tf.io.decode_png(contents, channels=3)

    with tf.control_dependencies(checks):
        image = tf.cond(
            (depth == 16) & (colour == 0),
            deep_grey,
            lambda: tf.cond(transparent | (colour >= 4), over_white, plain),
        )
    return _upright(image, contents, exif, elsewhere)


def _text_turns(contents: Tensor, at: Tensor, length: Tensor) -> Tensor:
    """Tell whether a PNG's text may hold a rotation: EXIF as text, or XMP that is compressed or says so."""
    raw = tf.strings.substr(contents, at, 21) == b"Raw profile type exif"
    xmp = tf.strings.substr(contents, at, 18) == b"XML:com.adobe.xmp\0"
    compressed = tf.strings.substr(contents, at, 19) == b"XML:com.adobe.xmp\0\1"
    return raw | compressed | (xmp & _xmp_turns(tf.strings.substr(contents, at, length)))


def _xmp_turns(text: Tensor) -> Tensor:
    return tf.strings.regex_full_match(text, r'\C*tiff:Orientation(="|>)[2-8]\C*')


def _jpeg(contents: Tensor) -> Tensor:
    size = tf.cast(tf.strings.length(contents), tf.int64)

    def going_on(at: Tensor, pixels: Tensor, *_: Any) -> Tensor:
        return (at + 4 <= size) & ~pixels

    def step(at: Tensor, pixels: Tensor, frame: Tensor, exif: Tensor, elsewhere: Any) -> tuple[Any, ...]:
        head = _bytes(contents, at, 4)
        marker, data, length = head[1], at + 4, _number(head[2:])
        alone = (marker == 1) | ((marker >= 0xD0) & (marker <= 0xD9))
        tables = (marker == 0xC4) | (marker == 0xC8) | (marker == 0xCC)
        app1 = marker == 0xE1
        tag = tf.strings.substr(contents, data, 6)
        xmp = app1 & (tag == b"http:/")
        return (
            tf.where(marker == 0xFF, at + 1, tf.where(alone, at + 2, at + 2 + length)),
            (marker == 0xDA) | (head[0] != 0xFF),
            tf.where((marker >= 0xC0) & (marker <= 0xCF) & ~tables, at, frame),
            tf.where(app1 & (tag == b"Exif\0\0") & (exif[1] == 0), tf.stack([data + 6, length - 8]), exif),
            elsewhere | tf.cond(xmp, lambda: _xmp_turns(tf.strings.substr(contents, data, length - 2)), lambda: False),
        )

    zero, no = tf.constant(0, tf.int64), tf.constant(False)
    # Whether the pixels begin here; where the frame's header and EXIF are; whether another rotation may be.
    start = zero + 2, no, zero, tf.zeros([2], tf.int64), no
    at, pixels, frame, exif, elsewhere = tf.while_loop(going_on, step, start)
    rest = tf.io.decode_raw(tf.strings.substr(contents, tf.minimum(at, size), size), tf.uint8)
    ended = tf.reduce_any((rest[:-1] == 0xFF) & (rest[1:] == 0xD9))
    header = tf.strings.bytes_split(tf.strings.substr(contents, frame, tf.constant(19, tf.int64)))
    sampling = tf.strings.reduce_join(header[11::3])
    grey, colour = header[9] == b"\1", (header[9] == b"\3") & tf.reduce_any(sampling == tf.constant(SAMPLINGS))
    supported = tf.reduce_any(header[1] == tf.constant([b"\xc0", b"\xc1", b"\xc2"])) & (header[4] == b"\x08")
    with tf.control_dependencies([_require(pixels & ended, DAMAGED)]):
        checks = [_require(supported & (grey | colour), NOT_PLAIN)]
    with tf.control_dependencies(checks):
        image = tf.io.decode_jpeg(contents, channels=3, dct_method="INTEGER_ACCURATE")
    return _upright(image, contents, exif, elsewhere)


def _upright(image: Tensor, contents: Tensor, exif: Tensor, elsewhere: Any) -> Tensor:
    """Turn an image as EXIF says; where that says nothing, no other place may say that it is turned."""
    turn = tf.cond(exif[1] > 0, lambda: _orientation(contents, exif), lambda: tf.constant(0, tf.int64))
    words = "has a rotation that is not in EXIF: save it upright"
    with tf.control_dependencies([_require((turn > 0) | ~elsewhere, words)]):
        image = tf.cond((turn >= 5) & (turn <= 8), lambda: tf.transpose(image, [1, 0, 2]), lambda: image)
    across, down = (tf.reduce_any(turn == tf.constant(turns, tf.int64)) for turns in ([2, 3, 6, 7], [3, 4, 7, 8]))
    image = tf.cond(across, lambda: image[:, ::-1], lambda: image)
    return tf.cond(down, lambda: image[::-1], lambda: image)


def _orientation(contents: Tensor, exif: Tensor) -> Tensor:
    """Return the orientation, 1 to 8, in EXIF that begins at `exif[0]` and has `exif[1]` bytes; 0 if there is none."""
    tiff = tf.strings.substr(contents, exif[0], exif[1])
    size = tf.cast(tf.strings.length(tiff), tf.int64)
    little = tf.strings.substr(tiff, 0, 4) == b"II*\0"
    readable = (little | (tf.strings.substr(tiff, 0, 4) == b"MM\0*")) & (size >= 10)

    def number(data: Any) -> Tensor:
        return _number(tf.where(little, tf.reverse(data, [-1]), data))

    def find() -> Tensor:
        at = tf.minimum(number(_bytes(tiff, 4, 4)), size - 2)
        entries = _bytes(tiff, at + 2, 12 * number(_bytes(tiff, at, 2)))
        entries = tf.reshape(entries[: tf.size(entries) // 12 * 12], [-1, 12])
        tag, kind, count = number(entries[:, :2]), number(entries[:, 2:4]), number(entries[:, 4:8])
        value = tf.where(kind == 3, number(entries[:, 8:10]), number(entries[:, 8:12]))
        value = tf.where(((kind == 3) | (kind == 4)) & (count == 1), value, 1)
        return tf.concat([tf.zeros([1], tf.int64), value[tag == 0x0112]], 0)[-1]

    return tf.cond(readable, find, lambda: tf.constant(0, tf.int64))


def _bytes(contents: Tensor, at: Tensor, count: Tensor) -> Tensor:
    part = tf.strings.substr(contents, tf.cast(at, tf.int64), tf.cast(count, tf.int64))
    return tf.cast(tf.io.decode_raw(part, tf.uint8), tf.int64)


def _number(data: Any) -> Tensor:
    """Return the number whose 2 or 4 bytes, the highest first, stand in the last axis."""
    places = tf.constant([2**24, 2**16, 2**8, 1], tf.int64)
    return tf.reduce_sum(data * places[4 - tf.shape(data)[-1] :], -1)
