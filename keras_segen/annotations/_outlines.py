"""Outlines: polygons along the edges of a mask's pixels, which give back that very mask."""

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

Corner = tuple[int, int]


def outlines(mask: np.ndarray) -> list[list[Corner]]:
    """Return polygons that hold exactly the pixels of a boolean mask (height, width).

    There is one for each part whose pixels share sides. A hole is cut open along a vertical line, so that a polygon
    needs no second ring.

    Returns:
        The corners (x, y) of each polygon, clockwise, from the image's top left corner.
    """
    parts, count = ndimage.label(mask)
    return [
        _opened(_rings(parts[window] == number + 1, window)) for number, window in enumerate(_windows(parts, count))
    ]


def _windows(parts: np.ndarray, count: int) -> list[tuple[slice, slice]]:
    return ndimage.find_objects(parts, count)


def _rings(mask: np.ndarray, window: tuple[slice, slice]) -> list[list[Corner]]:
    """Return the closed edges of a part, its outer one and those of its holes: the pixels lie to their right."""
    inside = np.pad(mask, 1)
    top, left = window[0].start, window[1].start
    # Of each corner the ends of the edges that leave it; two where pixels meet by their corners alone.
    leaving: dict[Corner, list[Corner]] = {}
    for step, (rows, columns), first in (
        ((1, 0), np.nonzero(inside[1:] & ~inside[:-1]), (0, 0)),  # upper edges, to the right
        ((-1, 0), np.nonzero(inside[:-1] & ~inside[1:]), (1, 0)),  # lower ones, to the left
        ((0, -1), np.nonzero(inside[:, 1:] & ~inside[:, :-1]), (0, 1)),  # left ones, up
        ((0, 1), np.nonzero(inside[:, :-1] & ~inside[:, 1:]), (0, 0)),  # right ones, down
    ):
        # In the padded mask the edge before pixel i is number i - 1.
        across = step[0] == 0
        for row, column in zip(rows.tolist(), columns.tolist(), strict=True):
            x, y = (column, row - 1) if across else (column - 1, row)
            x, y = x + first[0] + left, y + first[1] + top
            leaving.setdefault((x, y), []).append((x + step[0], y + step[1]))
    rings = []
    while leaving:
        start = min(leaving, key=lambda corner: (corner[1], corner[0]))
        rings.append(_ring(start, leaving))
    return rings


def _ring(start: Corner, leaving: dict[Corner, list[Corner]]) -> list[Corner]:
    """Follow edges from a corner until they close, taking them out of `leaving`, and return where they turn."""
    ring: list[Corner] = []
    at, direction = start, (0, 0)
    while at in leaving:
        ends = leaving[at]
        # To the right where two edges leave: pixels that meet by corners alone stay apart.
        to = max(ends, key=lambda end: direction[0] * (end[1] - at[1]) - direction[1] * (end[0] - at[0]))
        ends.remove(to)
        if not ends:
            del leaving[at]
        step = to[0] - at[0], to[1] - at[1]
        if step != direction:
            ring.append(at)
        at, direction = to, step
    return ring


def _opened(rings: Sequence[list[Corner]]) -> list[Corner]:
    """Join the rings of holes to the outer one, which comes first as its top is the highest."""
    outer, *holes = rings
    for hole in sorted(holes, key=lambda ring: ring[0][1]):
        x, y = hole[0]  # its highest corner, the leftmost of them
        ends = [*outer[1:], outer[0]]
        # The nearest horizontal edge above; all that lies there has been joined already.
        at = max(
            (
                i
                for i, (one, other) in enumerate(zip(outer, ends, strict=True))
                if one[1] == other[1] < y and min(one[0], other[0]) <= x <= max(one[0], other[0])
            ),
            key=lambda i: outer[i][1],
        )
        bridge = (x, outer[at][1])
        outer = [*outer[: at + 1], bridge, *hole, hole[0], bridge, *outer[at + 1 :]]
    return outer
