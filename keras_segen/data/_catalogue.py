"""Class names and splits of the named data sets."""

from keras_segen.data import _celeb_a, _cifar10, _coco, _drive, _mnist, _oxford_iiit_pet, _shapes, _voc

_CLASS_NAMES = {
    "cifar10": _cifar10.CLASS_NAMES,
    "coco": _coco.CLASS_NAMES,
    "drive": _drive.CLASS_NAMES,
    "fashion_mnist": _mnist.CLOTHES,
    "mnist": _mnist.DIGITS,
    "oxford_iiit_pet": _oxford_iiit_pet.CLASS_NAMES,
    "shapes": _shapes.CLASS_NAMES,
    "voc": _voc.CLASS_NAMES,
    "voc2007": _voc.CLASS_NAMES,
}
_SPLITS = {
    "celeb_a": tuple(_celeb_a.SPLITS),
    "cifar10": _cifar10.SPLITS,
    "coco": tuple(_coco.SPLITS),
    "drive": _drive.SPLITS,
    "fashion_mnist": _mnist.SPLITS,
    "mnist": _mnist.SPLITS,
    "oxford_iiit_pet": tuple(_oxford_iiit_pet.SPLITS),
    "shapes": tuple(_shapes.COUNTS),
    "voc": tuple(_voc.ARCHIVES[2012]),
    "voc2007": tuple(_voc.ARCHIVES[2007]),
}


def class_names(name: str) -> tuple[str, ...]:
    """Return the names of a data set's classes, in the order of their ids.

    Args:
        name: "cifar10", "coco", "drive", "fashion_mnist", "mnist", "oxford_iiit_pet", "shapes", "voc" or "voc2007". The
            labels of `shapes` number the classes without the first, the background.

    Raises:
        ValueError: For another name.

    Example:
        >>> ks.data.class_names("oxford_iiit_pet")
        ('background', 'pet')
    """
    return _of(_CLASS_NAMES, name)


def splits(name: str) -> tuple[str, ...]:
    """Return the names of a data set's splits.

    Args:
        name: "celeb_a", "cifar10", "coco", "drive", "fashion_mnist", "mnist", "oxford_iiit_pet", "shapes", "voc" (of
            2012) or "voc2007".

    Raises:
        ValueError: For another name.

    Example:
        >>> ks.data.splits("cifar10")
        ('train', 'test')
    """
    return _of(_SPLITS, name)


def _of(table: dict[str, tuple[str, ...]], name: str) -> tuple[str, ...]:
    if name not in table:
        raise ValueError(f"`name` must be one of {', '.join(table)}. Received: name={name!r}")
    return table[name]
