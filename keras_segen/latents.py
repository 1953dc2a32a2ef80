"""What generators and decoders are asked with: latents that a seed fixes, ways between two, and around one."""

import numpy as np

__all__ = [
    "slerp",
    "standard_normal",
    "straight",
    "traversal",
]


def standard_normal(count: int, latent_dim: int, *, seed: int) -> np.ndarray:
    """Draw latents, float32 (count, latent_dim); a larger draw begins with the smaller one's."""
    return np.random.default_rng(seed).standard_normal((count, latent_dim), dtype=np.float32)


def slerp(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Go from one latent to another along the sphere (White, 2016, arXiv:1609.04468, section 2.1).

    Normal latents of many dimensions lie near a sphere; the straight line between two of them leaves it, for places
    where a generator was never trained. The radius changes evenly, should the two have different ones.

    Args:
        start: (latent_dim,).
        end: (latent_dim,).
        steps: latents to return, both ends among them, at least 2.

    Returns:
        float32 (steps, latent_dim).

    Raises:
        ValueError: for fewer than two steps, or a latent of zeros.
    """
    start, end = np.asarray(start, np.float64), np.asarray(end, np.float64)
    radii = np.linalg.norm(start), np.linalg.norm(end)
    if steps < 2 or not all(radii):
        raise ValueError(f"slerp needs two latents other than 0, and two steps or more. Received: steps={steps}")
    angle = np.arccos(np.clip(start @ end / (radii[0] * radii[1]), -1, 1))
    share = np.linspace(0, 1, steps)[:, None]
    radius = radii[0] + share * (radii[1] - radii[0])
    if np.sin(angle) < 1e-6:  # the same direction, or the opposite one, to which no great circle is the shortest
        path = start / radii[0] + share * (end / radii[1] - start / radii[0])
    else:
        path = np.sin((1 - share) * angle) * start / radii[0] + np.sin(share * angle) * end / radii[1]
        path /= np.sin(angle)
    return (radius * path).astype(np.float32)


def straight(start: np.ndarray, end: np.ndarray, steps: int) -> np.ndarray:
    """Go from one latent to another along a line, as between two images' posterior means.

    These lie nearer to 0 than the prior's draws do, where there is no sphere to keep to.

    Args:
        start: (latent_dim,).
        end: (latent_dim,).
        steps: latents to return, both ends among them.

    Returns:
        float32 (steps, latent_dim).
    """
    return np.linspace(start, end, steps, dtype=np.float32)


def traversal(latent: np.ndarray, which: int, values: np.ndarray) -> np.ndarray:
    """Change one number of a latent and leave the others.

    Args:
        latent: (latent_dim,).
        which: index of the number.
        values: (steps,), such as from -3 to 3.

    Returns:
        float32 (steps, latent_dim).
    """
    changed = np.tile(np.asarray(latent, np.float32), (len(values), 1))
    changed[:, which] = values
    return changed
