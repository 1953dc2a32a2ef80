"""Threads: one function called on many files at once."""

import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import keras

from keras_segen.data._order import AHEAD

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], *, verbose: bool = False, unit: str = "image"
) -> list[Result]:
    """Call `function` on each item, on all cores, and return the results in order.

    The first exception, in the items' order, ends it. Threads serve where Pillow and zlib, which let go of Python's
    lock, do the work.

    Args:
        function: The function.
        items: The arguments of its calls.
        verbose: Whether to show a progress bar.
        unit: The name of what the progress bar counts.
    """
    bar = keras.utils.Progbar(len(items), unit_name=unit) if verbose else None
    results: list[Result] = []
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for result in pool.map(function, items):
                results.append(result)
                if bar:
                    bar.update(len(results))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    return results


def read_ahead(
    function: Callable[[Item], Result], items: Sequence[Item], sizes: Sequence[int], *, most: int = AHEAD
) -> Iterator[Result]:
    """Yield `function` of each item, in order, while threads are already at work on the next ones.

    Args:
        function: The function, called once for each item. An exception of it is raised at the item's turn.
        items: The arguments of its calls.
        sizes: The size of each result, such as an image's pixels.
        most: The greatest sum of the sizes of results that are not yet handed out; one alone may be larger.

    Example:
        >>> sizes = [2, 3, 1]
        >>> [image.shape for image in ks.data.read_ahead(np.zeros, sizes, sizes)]
        [(2,), (3,), (1,)]
    """
    ahead: deque[tuple[int, Future[Result]]] = deque()
    total = 0
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            for item, size in zip(items, sizes, strict=True):
                while ahead and total + size > most:
                    yield ahead[0][1].result()
                    total -= ahead.popleft()[0]
                ahead.append((size, pool.submit(function, item)))
                total += size
            while ahead:
                yield ahead.popleft()[1].result()
        finally:
            pool.shutdown(cancel_futures=True)
