"""Levels of a sampler of few steps, found by how its samples score: Song et al. (2023), arXiv:2303.01469, section 3."""

import math
from collections.abc import Callable

import jax.numpy as jnp

from gahr.names import require, require_positive, require_whole
from gahr.types import Array

_GOLDEN = (math.sqrt(5) - 1) / 2


def search_levels(
    score: Callable[[Array], float], *, sigma_max: float, sigma_min: float, num_steps: int = 2, num_scores: int = 12
) -> tuple[Array, tuple[float, ...]]:
    """Levels of 1, 2, ... steps, one after the other: each new one has the least score where the others stay.

    The new level lies between the last but one and sigma_min; golden sections of its logarithm find it, if the score
    falls to one minimum and rises. A score of samples should draw them with one and the same key at all levels.

    Args:
      score: levels (L,) of `gahr.sampling.consistency.sampler`, the last one sigma_min, -> number; less is better, such
        as `gahr.analysis.statistics.energy_distance` to held-out images.
      sigma_max: first level, image units.
      sigma_min: last level, at which f is the identity, image units.
      num_steps: calls of f; 1 finds nothing.
      num_scores: calls of `score` per new level, at least 2.

    Returns:
      Levels (num_steps + 1,), and the score after 1, 2, ..., num_steps steps. A step that makes it worse is kept: the
      caller sees the scores.

    Raises:
      ValueError: a number out of its range.
    """
    require_positive(sigma_max=sigma_max, sigma_min=sigma_min)
    require(sigma_min < sigma_max, "sigma_min", sigma_min, f"below sigma_max = {sigma_max:g}")
    require_whole("num_steps", num_steps)
    require_whole("num_scores", num_scores, least=2)
    levels = [sigma_max]
    measure = lambda *more: float(score(jnp.array([*levels, *more, sigma_min], jnp.float32)))
    scores = [measure()]
    for _ in range(num_steps - 1):
        low, high = math.log(sigma_min), math.log(levels[-1])
        inner = [high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)]
        found = [measure(math.exp(point)) for point in inner]
        for _ in range(num_scores - 2):
            if found[0] < found[1]:
                high, inner[1], found[1] = inner[1], inner[0], found[0]
                inner[0] = high - _GOLDEN * (high - low)
                found[0] = measure(math.exp(inner[0]))
            else:
                low, inner[0], found[0] = inner[0], inner[1], found[1]
                inner[1] = low + _GOLDEN * (high - low)
                found[1] = measure(math.exp(inner[1]))
        best = min((0, 1), key=found.__getitem__)
        levels.append(math.exp(inner[best]))
        scores.append(found[best])
    return jnp.array([*levels, sigma_min], jnp.float32), tuple(scores)
