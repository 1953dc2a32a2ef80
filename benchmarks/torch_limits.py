"""What a machine can do at most, by PyTorch."""

from collections.abc import Callable

import torch


def matrix_products(size: int, repeats: int) -> Callable[[], None]:
    a, b = torch.randn(2, size, size)

    def run() -> None:
        for _ in range(repeats):
            torch.mm(a, b)

    return run
