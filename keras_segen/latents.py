"""Latents for generators and decoders: sampling, interpolation, traversal."""

import numpy as np

__all__ = [
    "slerp",
    "standard_normal",
    "straight",
    "traversal",
]


def standard_normal(count: int, latent_dim: int, *, seed: int) -> np.ndarray:
    """Draw latents from the standard normal distribution; a larger draw begins with the smaller one's.

    Args:
        count: The number of latents.
        latent_dim: The size of a latent.
        seed: The seed of the draw.

    Returns:
        The latents, float32 (count, latent_dim).

    Example:
        >>> ks.latents.standard_normal(16, 128, seed=0).shape
        (16, 128)
    """
    return np.random.default_rng(seed).standard_normal((count, latent_dim), dtype=np.float32)


def slerp(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Interpolate between two latents along the sphere (White, 2016, arXiv:1609.04468, section 2.1).

    Normal latents of many dimensions lie near a sphere; the straight line between two of them leaves it, for places
    where a generator was never trained. If the two have different radii, the radius changes evenly.

    Args:
        start: The first latent, (latent_dim,).
        end: The last latent, (latent_dim,).
        steps: The number of latents to return, both ends included, at least 2.

    Returns:
        The latents, float32 (steps, latent_dim).

    Raises:
        ValueError: For latents that are not two vectors of one length, a latent of zeros, latents in opposite
            directions, between which no way along the sphere is the shortest, or fewer than two steps.

    Example:
        >>> start, end = ks.latents.standard_normal(2, 128, seed=0)
        >>> ks.latents.slerp(start, end, 8).shape
        (8, 128)
    """
    start, end = _two_latents(start, end, steps)
    radii = np.linalg.norm(start), np.linalg.norm(end)
    if not all(radii):
        raise ValueError("A latent of zeros has no direction. Received: one of zeros")
    angle = np.arccos(np.clip(start @ end / (radii[0] * radii[1]), -1, 1))
    share = np.linspace(0, 1, steps)[:, None]
    radius = radii[0] + share * (radii[1] - radii[0])
    if np.pi - angle < 1e-6:
        raise ValueError("The latents lie in opposite directions: interpolate by way of a third one, or use `straight`")
    if angle < 1e-6:  # the same direction
        path = start / radii[0] + share * (end / radii[1] - start / radii[0])
    else:
        path = np.sin((1 - share) * angle) * start / radii[0] + np.sin(share * angle) * end / radii[1]
        path /= np.sin(angle)
    return (radius * path).astype(np.float32)


def straight(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Interpolate between two latents along a line, as suits the posterior means of two images.

    These lie nearer to 0 than the prior's draws, and not near a sphere.

    Args:
        start: The first latent, (latent_dim,).
        end: The last latent, (latent_dim,).
        steps: The number of latents to return, both ends included, at least 2.

    Returns:
        The latents, float32 (steps, latent_dim).

    Raises:
        ValueError: For latents that are not two vectors of one length, or fewer than two steps.

    Example:
        >>> ks.latents.straight(np.array([0.0, 0.0]), np.array([1.0, 2.0]), 3)
        array([[0. , 0. ],
               [0.5, 1. ],
               [1. , 2. ]], dtype=float32)
    """
    return np.linspace(*_two_latents(start, end, steps), steps, dtype=np.float32)


def _two_latents(start: np.ndarray, end: np.ndarray, steps: int) -> tuple[np.ndarray, np.ndarray]:
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    if not (np.isfinite(start).all() and np.isfinite(end).all()):
        raise ValueError("Latents must be numbers. Received: NaN or inf")
    if start.ndim != 1 or start.shape != end.shape:
        raise ValueError(f"Both latents must be (latent_dim,). Received: shapes {start.shape} and {end.shape}")
    if steps < 2:
        raise ValueError(f"`steps` must be at least 2, both ends included. Received: steps={steps}")
    return start, end


def traversal(latent: np.ndarray, which: int, values: np.ndarray) -> np.ndarray:
    """Traverse one dimension of a latent, with the others fixed.

    Args:
        latent: The latent, (latent_dim,).
        which: The index of the dimension.
        values: The values of this dimension, (steps,), such as from -3 to 3.

    Returns:
        The latents, float32 (steps, latent_dim).

    Raises:
        ValueError: For a dimension that the latent does not have.

    Example:
        >>> ks.latents.traversal(np.array([0.5, 0.5]), 1, np.array([-3.0, 0.0, 3.0]))
        array([[ 0.5, -3. ],
               [ 0.5,  0. ],
               [ 0.5,  3. ]], dtype=float32)
    """
    if which not in range(len(latent)):
        raise ValueError(f"`which` must be a whole number from 0 to {len(latent) - 1}. Received: which={which}")
    changed = np.tile(np.asarray(latent, np.float32), (len(values), 1))
    changed[:, which] = values
    return changed
