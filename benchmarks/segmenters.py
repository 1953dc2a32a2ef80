"""Training step and prediction of segmenters on a backbone, against the same network in PyTorch and the machine.

    python benchmarks/segmenters.py [--network fcn unet deeplab_v3_plus fpn] [--backbone mobilenet resnet50] [--alpha 1]
                                    [--batch 8] [--size 256] [--rounds 7] [--processor-time]

The step is forward, backward and Adam, as `model.fit` runs it, on masks of which some pixels are void; prediction is
the logits, as `model.predict` computes them. PyTorch has the same network in both memory layouts, with its fused Adam.
Where our up-sampling is a fixed transposed convolution, PyTorch has its own `interpolate`, cut where the backbone's
cells lie, which takes about as long there. Before anything is timed, PyTorch's network gets our weights, all of them,
and the logits and the losses of the first step are compared, and printed. FCN trains without its dropout here.
"Of limit" says which share of a large matrix product's rate goes into the convolutions.
"""

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from gflop import convolutions_gflop
from harness import Contender, command_line, compare, matrix_products, started

from keras_segen.losses import CrossEntropy
from keras_segen.models import deeplab_v3_plus, fcn, fpn, unet

CLASSES, VOID = 21, 255
TITLES = {"fcn": "FCN-8s", "unet": "U-Net", "deeplab_v3_plus": "DeepLabV3+", "fpn": "FPN"}
BUILDERS: dict[str, Any] = {"fcn": fcn, "unet": unet, "deeplab_v3_plus": deeplab_v3_plus, "fpn": fpn}
LAYOUTS = {"PyTorch, contiguous": "contiguous_format", "PyTorch, channels_last": "channels_last"}
# Network, backbone, alpha and the weights of each layer that has some.
Description = tuple[str, str, float, dict[str, list[np.ndarray]]]


def main() -> None:
    parser = command_line("Time segmenters on backbones.", rounds=7)
    parser.add_argument("--network", nargs="+", choices=list(TITLES), default=list(TITLES))
    parser.add_argument("--backbone", nargs="+", choices=["mobilenet", "resnet50"], default=["mobilenet", "resnet50"])
    parser.add_argument("--alpha", type=float, default=1.0, help="MobileNet's width")
    parser.add_argument("--batch", type=int, default=8, help="images")
    parser.add_argument("--size", type=int, default=256, help="their side, a multiple of 32")
    options = parser.parse_args()

    rng = np.random.default_rng(0)
    images = rng.uniform(0, 255, (options.batch, options.size, options.size, 3)).astype("float32")
    masks = rng.integers(0, CLASSES, images.shape[:3], "int32")
    masks[:, ::8] = VOID
    for network in options.network:
        for name in options.backbone:
            keras.utils.set_random_seed(0)
            keras.backend.clear_session()
            alpha = options.alpha if name == "mobilenet" else 1.0
            race(network, name, alpha, images, masks, rounds=options.rounds, clock=options.clock)


def race(network: str, backbone: str, alpha: float, images: np.ndarray, masks: np.ndarray, **how: Any) -> None:
    """Check that the networks are the same, and print one table for prediction and one for the step."""
    model = built(network, backbone, alpha)
    shake(model)
    description = (network, backbone, alpha, {layer.name: layer.get_weights() for layer in weighted(model)})
    title = f"{TITLES[network]} on {backbone}{f', alpha {alpha:g}' if backbone == 'mobilenet' else ''}"
    print(f"{title}: {sum(weight.numpy().size for weight in model.trainable_weights):,} trainable weights")
    # The backbone comes first, and its first convolution needs no gradient of its input.
    costs = convolutions_gflop(model.get_layer("backbone"), images) + convolutions_gflop(model, images)
    size = f"{len(images)} images of {images.shape[1]}×{images.shape[2]}"

    with started(contenders("prediction", (description, images), sum(costs))) as processes:
        ours, *theirs = (process.result() for process in processes)
        for logits in theirs:
            error = np.abs(logits.transpose(0, 2, 3, 1) - ours).max() / ours.std()
            print(f"largest difference of the logits, by their standard deviation {ours.std():.3g}: {error:.1e}")
            assert error < 1e-3
        compare(f"Prediction, {size}, {sum(costs):.1f} GFLOP", processes, limits=matrix_products(), **how)

    gflop = 3 * sum(costs) - costs[0]
    with started(contenders("step", (description, images, masks), gflop)) as processes:
        losses = [process.result() for process in processes]
        print(f"\nlosses of the first step: {', '.join(f'{loss:.6f}' for loss in losses)}")
        np.testing.assert_allclose(losses, losses[0], rtol=1e-4)
        compare(f"Training step, {size}, {gflop:.1f} GFLOP", processes, limits=matrix_products(), **how)
    print()


def contenders(function: str, arguments: tuple[Any, ...], work: float) -> list[Contender]:
    """Our function, and PyTorch's of the same name, which takes the memory layout too."""
    theirs = [
        Contender(name, "torch_segmenters", function, (*arguments, layout), work) for name, layout in LAYOUTS.items()
    ]
    return [Contender("keras_segen", "segmenters", function, arguments, work), *theirs]


def built(network: str, backbone: str, alpha: float) -> keras.Model:
    return BUILDERS[network](CLASSES, backbone=backbone, backbone_width=alpha, backbone_weights=None, dropout=0)


def weighted(model: keras.Model) -> list[keras.Layer]:
    """The layers that have weights."""
    layers = [*model.get_layer("backbone").layers, *(layer for layer in model.layers if layer.name != "backbone")]
    return [layer for layer in layers if layer.weights]


def shake(model: keras.Model) -> None:
    """Move what starts as all zeros or all ones, which would hide a weight copied to the wrong place."""
    rng = np.random.default_rng(0)
    for weight in model.weights:
        value = weight.numpy()
        if np.ptp(value) == 0:
            weight.assign(value + rng.normal(0, 0.1, value.shape))


def with_weights(description: Description) -> keras.Model:
    network, backbone, alpha, weights = description
    model = built(network, backbone, alpha)
    for layer in weighted(model):
        layer.set_weights(weights[layer.name])
    return model


def prediction(description: Description, images: np.ndarray) -> Callable[[], tf.Tensor]:
    """The compiled predict function on a batch from tf.data."""
    model = with_weights(description)
    model.make_predict_function()
    batches = iter(tf.data.Dataset.from_tensors((images,)).repeat())
    return lambda: model.predict_function([next(batches)])  # not `.numpy()`, which copies where PyTorch's does not


def step(description: Description, images: np.ndarray, masks: np.ndarray) -> Callable[[], float]:
    """One step as `model.fit` runs it: the compiled train function on a tf.data iterator."""
    model = with_weights(description)
    model.compile(optimizer=keras.optimizers.Adam(1e-4), loss=CrossEntropy(ignore_class=VOID))
    model.make_train_function()
    batches = iter(tf.data.Dataset.from_tensors((images, masks)).repeat())
    return lambda: float(model.train_function(batches)["loss"])


if __name__ == "__main__":
    main()
