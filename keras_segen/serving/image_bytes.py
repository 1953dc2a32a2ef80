"""Decoding of JPEG and PNG inside a servable's graph."""

from typing import Any

import tensorflow as tf


def decode(contents: Any, channels: int) -> Any:
    """Decode JPEG or PNG to uint8 (height, width, channels); what is transparent is laid over white, as in training."""

    def png() -> Any:
        pixels = tf.cast(tf.io.decode_png(contents, channels=4, dtype=tf.uint16), tf.int32)
        pixels = (pixels + 128) // 257  # 16 bits are rounded to 8; what has 8 comes back as it was
        colours, alpha = pixels[..., :3], pixels[..., 3:]
        return tf.cast((colours * alpha + 255 * (255 - alpha) + 127) // 255, tf.uint8)

    image = tf.cond(tf.io.is_jpeg(contents), lambda: tf.io.decode_jpeg(contents, channels=3), png)
    return image if channels == 3 else tf.image.rgb_to_grayscale(image)
