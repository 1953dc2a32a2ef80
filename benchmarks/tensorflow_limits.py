"""What a machine can do at most, by TensorFlow."""

from collections.abc import Callable

import tensorflow as tf


def matrix_products(size: int, repeats: int) -> Callable[[], None]:
    a, b = tf.random.normal((2, size, size))

    def run() -> None:
        for _ in range(repeats):
            tf.matmul(a, b)  # on a CPU, an eager operation is done when it returns

    return run
