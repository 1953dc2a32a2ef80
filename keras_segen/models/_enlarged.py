"""Up-sampling of a map to a finer grid, wherever its cells lie on that."""

from typing import Any

from keras_segen.layers import BilinearUpSampling, ShiftLike
from keras_segen.models._backbones import Backbone
from keras_segen.types import Tensor


def enlarged(
    x: Tensor, encoder: Backbone, *, stride: int, to: int, like: Tensor | None, name: str, **options: Any
) -> Tensor:
    """Enlarge a map bilinearly.

    Args:
        x: The map.
        encoder: The backbone that says where cells lie.
        stride: The stride of the map.
        to: The stride of the result, a divisor of that.
        like: A map of that stride, whose height and width the result gets where they may differ; None where there is no
            such map.
        name: The name of the up-sampling layer.
        options: Further arguments of that layer, such as `learned`.
    """
    factor = stride // to
    cells, rest = divmod((encoder.origin(stride) - encoder.origin(to)) / to, factor)
    x = BilinearUpSampling(factor, origin=rest, name=name, **options)(x)
    if like is None or (not cells and encoder.is_exact(stride) and encoder.is_exact(to)):
        return x
    return ShiftLike(int(cells) * factor, name=f"{name}_shift", dtype=options.get("dtype"))([x, like])
