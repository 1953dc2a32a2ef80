"""Calling one function on many files at once."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import keras

Item = TypeVar("Item")
Result = TypeVar("Result")


def in_threads(
    function: Callable[[Item], Result], items: Sequence[Item], *, verbose: bool = False, unit: str = "image"
) -> list[Result]:
    """Call `function` on each item, on all cores, and return the results in order.

    The first exception, in the items' order, ends it. Threads serve where Pillow and zlib, which let go of Python's
    lock, do the work.

    Args:
        function: what to call.
        items: its arguments.
        verbose: show a progress bar.
        unit: what it counts.
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
