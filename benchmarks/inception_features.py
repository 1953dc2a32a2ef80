"""Features by FID's Inception network, against torch-fidelity's extractor, and the machine.

    pip install torch torchvision torch-fidelity
    python benchmarks/inception_features.py [--rounds N]      two minutes on two cores

64 images of 32×32, resized to 299×299 and run through the network, with weights that are drawn: speed does not depend
on them. "Of limit" counts the convolutions.
"""

import math
from collections.abc import Callable

import keras
import numpy as np
from harness import Contender, command_line, compare, matrix_products, started

from keras_segen.metrics._features import feature_batches
from keras_segen.metrics._inception import inception_network, published_protocol

IMAGES = 64


def main() -> None:
    options = command_line("Time FID's Inception network.", rounds=5).parse_args()
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3)).astype(np.uint8)
    work = IMAGES * gflop(inception_network())
    contenders = [
        Contender("keras_segen", "inception_features", "features", (images,), work),
        Contender("torch-fidelity", "torch_inception", "features", (images, "contiguous_format"), work),
        Contender("torch-fidelity, channels_last", "torch_inception", "features", (images, "channels_last"), work),
    ]
    with started(contenders) as processes:
        compare(
            f"Inception features of {IMAGES} images, {work:.0f} GFLOP",
            processes,
            limits=matrix_products(),
            rounds=options.rounds,
            clock=options.clock,
        )


def gflop(network: keras.Model) -> float:
    """What one image costs in convolutions."""
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    return sum(2 * math.prod(x.kernel.shape) * math.prod(x.output.shape[1:3]) for x in convolutions) / 1e9


def features(images: np.ndarray) -> Callable[[], object]:
    extractor = published_protocol(inception_network(), name="inception")
    return lambda: list(feature_batches(images, extractor, batch_size=32))


if __name__ == "__main__":
    main()
