"""Linear interpolation along one axis, for the layers that resize images."""

from keras import ops

from keras_segen.types import Tensor


def interpolated(x: Tensor, position: Tensor, axis: int) -> Tensor:
    """Read images between two rows or columns.

    Args:
        x: Images (batch, height, width, channels).
        position: The places along the axis to read at, float (size,), from 0 to its length - 1; beyond that, the last
            cell is read.
        axis: The axis, 1 for the height, 2 for the width.

    Returns:
        The same with `size` along the axis.
    """
    before = ops.floor(position)
    share = ops.cast(ops.reshape(position - before, [-1] + [1] * (3 - axis)), x.dtype)
    before = ops.cast(before, "int32")
    first = ops.take(x, before, axis=axis)
    return first + (ops.take(x, ops.minimum(before + 1, ops.shape(x)[axis] - 1), axis=axis) - first) * share
