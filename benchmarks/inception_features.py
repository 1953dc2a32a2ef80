"""Features by FID's Inception network, against torch-fidelity's extractor, and the machine.

    pip install torch torchvision torch-fidelity
    python benchmarks/inception_features.py [--rounds N]      two minutes on two cores

64 images of 32×32, resized to 299×299 and run through the network, with weights that are drawn: speed does not depend
on them. "Of limit" counts the convolutions.
"""

import argparse
import math
from collections.abc import Callable

import keras
import numpy as np
from harness import Contender, InPyTorch, compare, matrix_products, use_all_cores

from keras_segen.metrics._features import feature_batches
from keras_segen.metrics._inception import inception_network, published_protocol

IMAGES = 64


def main() -> None:
    parser = argparse.ArgumentParser(description="Time FID's Inception network.")
    parser.add_argument("--rounds", type=int, default=5, help="turns that count, after two that do not")
    options = parser.parse_args()

    use_all_cores()
    images = np.random.default_rng(0).integers(0, 256, (IMAGES, 32, 32, 3)).astype(np.uint8)
    network = inception_network()
    work = IMAGES * gflop(network)
    compare(
        f"Inception features of {IMAGES} images, {work:.0f} GFLOP",
        [
            Contender("keras_segen", ours(network, images), work),
            Contender("torch-fidelity", InPyTorch("torch_inception", "features", images, "contiguous_format"), work),
            Contender(
                "torch-fidelity, channels_last", InPyTorch("torch_inception", "features", images, "channels_last"), work
            ),
        ],
        limits=matrix_products(),
        rounds=options.rounds,
    )


def gflop(network: keras.Model) -> float:
    """What one image costs in convolutions."""
    convolutions = [layer for layer in network.layers if isinstance(layer, keras.layers.Conv2D)]
    return sum(2 * math.prod(x.kernel.shape) * math.prod(x.output.shape[1:3]) for x in convolutions) / 1e9


def ours(network: keras.Model, images: np.ndarray) -> Callable[[], object]:
    extractor = published_protocol(network, name="inception")
    return lambda: list(feature_batches(images, extractor, batch_size=32))


if __name__ == "__main__":
    main()
