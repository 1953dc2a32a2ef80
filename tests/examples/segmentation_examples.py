"""Masks and logits that the tests of losses share, in each of the three shapes that losses take."""

import numpy as np

VOID = 255
KINDS = ("multi-class", "binary", "multi-label")


def example(kind="multi-class", seed=0, void=0.2, num_classes=3, used=None):
    """Return masks uint8 and logits float32; of the classes only the first `used` occur."""
    rng = np.random.default_rng(seed)
    shape = (2, 5, 4, num_classes) if kind == "multi-label" else (2, 5, 4)
    highest = (used or num_classes) if kind == "multi-class" else min(used or 2, 2)
    masks = rng.integers(0, highest, shape).astype("uint8")
    masks[rng.random(shape) < void] = VOID
    channels = 1 if kind == "binary" else num_classes
    return masks, rng.normal(0, 2, (2, 5, 4, channels)).astype("float32")


def class_weights(kind):
    return [0.5, 2.0] if kind == "binary" else [0.5, 0.0, 3.0]


def probabilities(logits, kind):
    logits = logits.astype("float64")
    if kind == "multi-class":
        return np.exp(logits) / np.exp(logits).sum(-1, keepdims=True)
    return 1 / (1 + np.exp(-logits))


def regions(masks, logits, kind):
    """For each image a list of (class, truth, probability) over its valid pixels, in float64; absent classes too."""
    for mask, p in zip(masks, probabilities(logits, kind), strict=True):
        classes = []
        for c in range(p.shape[-1]):
            of_class = mask[..., c] if kind == "multi-label" else mask
            valid = of_class != VOID
            truth = (of_class == (c if kind == "multi-class" else 1))[valid].astype(float)
            classes.append((c, truth, p[..., c][valid]))
        yield classes


def mean_over_regions(masks, logits, kind, weights, loss):
    """The mean over images of the weighted mean over classes, of those in the mask alone where they are exclusive."""
    values = []
    for classes in regions(masks, logits, kind):
        counted = [(c, t, p) for c, t, p in classes if kind != "multi-class" or t.any()]
        weight = sum(weights[c] for c, _, _ in counted)
        total = sum(weights[c] * loss(t, p) for c, t, p in counted)
        values.append(total / weight if weight else 0.0)
    return np.mean(values)
