"""Codebooks of error-correcting output codes (Dietterich and Bakiri, 1995, J. Artif. Intell. Res. 2).

A codebook holds a word of bits for each class. Where the words are far from each other, some bits may be wrong, and the
nearest word is still the right one.
"""

from typing import Any

import numpy as np


def hadamard_codebook(num_classes: int) -> np.ndarray:
    """Return the words of a Hadamard code: any two differ in half of their bits, and one more.

    The words are rows of Sylvester's matrix of the next power of two, without its first column, which is the same for
    all.

    Args:
        num_classes: The number of classes, at least 2.

    Returns:
        An int array (num_classes, bits) of 0 and 1; 31 bits for 21 classes, at a distance of 16.

    Example:
        >>> codebook = ks.layers.hadamard_codebook(4)
        >>> codebook
        array([[0, 0, 0],
               [1, 0, 1],
               [0, 1, 1],
               [1, 1, 0]])
    """
    if num_classes < 2:
        raise ValueError(f"A code tells two classes or more apart. Received: num_classes={num_classes}")
    size = 1 << (num_classes - 1).bit_length()
    common_bits = np.arange(num_classes)[:, None] & np.arange(1, size)
    return np.bitwise_count(common_bits).astype(int) % 2


def random_codebook(num_classes: int, bits: int, *, seed: int = 0, trials: int = 1000) -> np.ndarray:
    """Return the random code with the greatest distance among some trials.

    Args:
        num_classes: The number of classes, at least 2.
        bits: The number of bits of each word.
        seed: The seed of the draws.
        trials: The number of codes that are drawn.

    Returns:
        An int array (num_classes, bits) of 0 and 1.

    Raises:
        ValueError: For too few bits to tell the classes apart, or so few that no trial did; or more bits than there are
            useful columns.

    Example:
        >>> codebook = ks.layers.random_codebook(5, 8, trials=10)
        >>> codebook.shape
        (5, 8)
    """
    columns = 2 ** (num_classes - 1) - 1  # that are neither constant nor another one's opposite
    if num_classes < 2 or not 2**bits >= num_classes or bits > columns:
        raise ValueError(
            f"{num_classes} classes have codes of {(num_classes - 1).bit_length()} to {columns} bits. "
            f"Received: bits={bits}"
        )
    rng = np.random.default_rng(seed)
    best, distance = np.zeros((num_classes, bits), int), -1
    for _ in range(trials):
        drawn: dict[bytes, np.ndarray] = {}
        while len(drawn) < bits:
            column = np.concatenate([[0], rng.integers(0, 2, num_classes - 1)])
            if column.any():
                drawn[column.tobytes()] = column
        codebook = np.stack(list(drawn.values()), axis=1) ^ rng.integers(0, 2, bits)
        if minimum_distance(codebook) > distance:
            best, distance = codebook, minimum_distance(codebook)
    if distance == 0:
        raise ValueError(
            f"No code of {bits} bits whose {num_classes} words all differ was found in {trials} trials: take more bits."
            f" Received: bits={bits}, trials={trials}, seed={seed}"
        )
    return check_codebook(best)


def minimum_distance(codebook: np.ndarray) -> int:
    """Return the number of bits in which the two nearest words differ; fewer wrong bits than half of it are corrected.

    Args:
        codebook: The words of 0 and 1, (num_classes, bits).

    Example:
        >>> codebook = ks.layers.hadamard_codebook(21)
        >>> ks.layers.minimum_distance(codebook)
        16
    """
    codebook = np.asarray(codebook)
    distances = (codebook[:, None] != codebook[None]).sum(-1)
    return int(distances[~np.eye(len(codebook), dtype=bool)].min())


def check_codebook(codebook: Any) -> np.ndarray:
    """Return a codebook as an int array (num_classes, bits), after checking that it can serve.

    Args:
        codebook: The words of 0 and 1, (num_classes, bits).

    Raises:
        ValueError: For a word that two classes share, or a column without information: one with the same bit for all
            classes, or one that equals another column or its opposite, because their errors come together.

    Example:
        >>> codebook = ks.layers.check_codebook([[0, 0, 1], [1, 0, 0], [1, 1, 1]])
        >>> codebook.shape
        (3, 3)
    """
    codebook = np.asarray(codebook)
    if codebook.ndim != 2 or len(codebook) < 2 or not np.isin(codebook, (0, 1)).all():
        raise ValueError(
            "A codebook holds a word of 0 and 1 for each of two classes or more, (num_classes, bits). "
            f"Received: shape {codebook.shape}, values {np.unique(codebook)[:5]}"
        )
    codebook = codebook.astype(int)
    fault = _fault(codebook)
    if fault:
        raise ValueError(f"The codebook cannot serve: {fault}. Received: {codebook.shape[1]} bits for {len(codebook)}")
    return codebook


def _fault(codebook: np.ndarray) -> str | None:
    if minimum_distance(codebook) == 0:
        return "two classes have the same word"
    constant = (codebook == codebook[0]).all(0)
    if constant.any():
        return f"column {int(constant.argmax())} is the same for all classes"
    columns = (codebook ^ codebook[0]).T  # a column and its opposite are alike here
    _, first = np.unique(columns, axis=0, return_index=True)
    if len(first) < len(columns):
        repeated = min(set(range(len(columns))) - set(first.tolist()))
        return f"column {repeated} repeats another one, or its opposite"
    return None
