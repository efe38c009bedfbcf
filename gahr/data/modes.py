"""Points about a few centres, on a line or in the plane, as images of one or two numbers.

Denoiser, probability-flow ODE and consistency function of these are known, so that a network can be held against them.
"""

import jax
import jax.numpy as jnp
import numpy as np

from gahr.names import require, require_positive, require_whole
from gahr.types import Array, Key


def centres(*, size: int = 2, number: int = 5, radius: float = 0.35) -> Array:
    """Centres (number, 1, size, 1), image units: equally spaced from 0.5 - radius to 0.5 + radius, or on a circle.

    Raises:
      ValueError: a size that is not 1 or 2, fewer than two centres, or a radius that is not positive.
    """
    require(size in (1, 2), "size", size, "1, for a line, or 2, for the plane")
    require_whole("number", number, least=2)
    require_positive(radius=radius)
    turn = 2 * np.pi * np.arange(number) / number
    rows = np.linspace(-1, 1, number)[:, None] if size == 1 else np.stack([np.cos(turn), np.sin(turn)], 1)
    return jnp.asarray(0.5 + radius * rows.reshape(number, 1, size, 1), jnp.float32)


def sample(key: Key, *, size: int = 2, number: int = 5, radius: float = 0.35, deviation: float = 0.025) -> Array:
    """One point of N(m_j, deviation^2 I) about one of the `centres` m_j, all alike.

    Args:
      key: random key; an image set is one key per image.
      size: numbers of a point: 1 or 2.
      number: of centres.
      radius: half the length of the line, or of the circle, image units.
      deviation: standard deviation of each number about the centre, image units.

    Returns:
      Image (1, size, 1).

    Raises:
      ValueError: as `centres`, or a deviation that is not positive.

    Reference: the mixtures on which Song et al. (2023), arXiv:2303.01469, and its successors are often tried.
    """
    require_positive(deviation=deviation)
    which, normal = jax.random.split(key)
    middle = centres(size=size, number=number, radius=radius)[jax.random.randint(which, (), 0, number)]
    return middle + deviation * jax.random.normal(normal, middle.shape)
