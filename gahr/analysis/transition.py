"""When do networks stop repeating their training images? Numbers for it, from the similarities of samples."""

import math
from typing import NamedTuple

import jax
import numpy as np

from gahr.names import require
from gahr.types import Array, Key


class Interval(NamedTuple):
    value: float  # estimate
    low: float  # lower end of its confidence interval
    high: float  # upper end


class Memorization(NamedTuple):
    share: Interval  # of samples that are memorized, in [0, 1]
    nearest: Interval  # median similarity to the nearest training image
    twin: Interval  # median similarity to the twin


def memorization_index(nearest: Array, twins: Array, *, threshold: float = 0.95, level: float = 0.95) -> Memorization:
    """Share of memorized samples, and the median similarities to the nearest training images and to the twins.

    A sample is memorized where its similarity to its nearest training image is above `threshold` and above the
    similarity to its twin. Intervals are over samples: Wilson's for the share, and for the medians the order
    statistics, whose coverage is at least `level` for any law of the similarities.

    Args:
      nearest, twins: similarities (S,), S >= 6 at level 0.95.
      threshold: that of the publication's removal of near-duplicates.
      level: of confidence, between 0 and 1.

    Returns:
      Memorization.

    Raises:
      ValueError: shapes differ, NaN, level outside (0, 1), or too few samples for it.

    Reference: Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    from scipy import stats

    nearest, twins = _similarities(nearest, twins, 1, level)
    memorized = (nearest > threshold) & (nearest > twins)
    share = stats.binomtest(int(memorized.sum()), len(memorized)).proportion_ci(level, "wilson")
    medians = [stats.quantile_test(values).confidence_interval(level) for values in (nearest, twins)]
    if np.isnan(medians[0].low):
        raise ValueError(f"{len(nearest)} samples are too few for a median's interval at level {level:g}")
    values = memorized.mean(), np.median(nearest), np.median(twins)
    return Memorization(
        *(Interval(float(value), *map(float, ends)) for value, ends in zip(values, (share, *medians), strict=True))
    )


def _similarities(nearest: Array, twins: Array, ndim: int, level: float) -> tuple[np.ndarray, np.ndarray]:
    require(0 < level < 1, "level", level, "between 0 and 1")
    nearest, twins = np.asarray(nearest, np.float64), np.asarray(twins, np.float64)
    if nearest.ndim != ndim or nearest.shape != twins.shape:
        wanted = "(S,)" if ndim == 1 else "(K, S)"
        raise ValueError(f"nearest and twins must both be {wanted}, got {nearest.shape} and {twins.shape}")
    if np.isnan(nearest).any() or np.isnan(twins).any():
        raise ValueError("the similarities hold NaN")
    return nearest, twins


def transition_point(
    set_sizes: Array, nearest: Array, twins: Array, *, key: Key, level: float = 0.95, num_resamples: int = 1000
) -> Interval:
    """Size of the training set above which twins are more alike than samples and training images.

    The last N at which the median twin similarity crosses that to the nearest image from below, interpolated in
    log N; 0 where twins lead at every size, infinite where they do not at the largest. The interval is the
    percentile one over resampled samples, the same ones at each size.

    Args:
      set_sizes: N, increasing, (K,).
      nearest, twins: similarities (K, S).
      key: random key of the resampling.
      level: of confidence.
      num_resamples: how often; below some hundred the ends are coarse.

    Returns:
      Interval of numbers of images.

    Raises:
      ValueError: sizes that do not increase or are not positive, or as `memorization_index`.
    """
    sizes = np.asarray(set_sizes, np.float64)
    nearest, twins = _similarities(nearest, twins, 2, level)
    rising = sizes.shape == nearest.shape[:1] and sizes[0] > 0 and np.all(np.diff(sizes) > 0)
    require(rising, "set_sizes", sizes.tolist(), f"{len(nearest)} positive numbers that increase")
    require(num_resamples >= 1, "num_resamples", num_resamples, "at least 1")
    number = nearest.shape[1]
    drawn = np.asarray(jax.random.randint(key, (num_resamples, number), 0, number))
    lead = np.median(twins[:, drawn], -1) - np.median(nearest[:, drawn], -1)  # (K, resamples)
    found = np.sort(_crossing(sizes, lead))
    outside = math.floor((1 - level) / 2 * num_resamples)
    whole = (np.median(twins, -1) - np.median(nearest, -1))[:, None]
    return Interval(float(_crossing(sizes, whole)[0]), float(found[outside]), float(found[-1 - outside]))


def on_grid(set_sizes: Array, point: Interval) -> Interval:
    """A transition point whose interval reaches to the sizes on both sides: between them it is interpolated alone.

    Args:
      set_sizes: N, increasing, (K,).
      point: from `transition_point`; where an end lies outside of the sizes it becomes 0 or infinite.
    """
    sizes = np.asarray(set_sizes, np.float64)
    low, high = sizes[sizes <= point.low].max(initial=0), sizes[sizes >= point.high].min(initial=np.inf)
    return Interval(point.value, float(low), float(high))


def _crossing(sizes: np.ndarray, lead: np.ndarray) -> np.ndarray:
    """Size at which each column of lead (K, B) last turns from negative to not negative, (B,)."""
    behind = len(sizes) - 1 - np.argmax(lead[::-1] < 0, axis=0)  # last size at which twins are behind
    left = np.minimum(behind, len(sizes) - 2)
    columns = np.arange(lead.shape[1])
    before, after = lead[left, columns], lead[left + 1, columns]
    part = before / np.where(before < after, before - after, -1)
    between = np.exp((1 - part) * np.log(sizes[left]) + part * np.log(sizes[left + 1]))
    return np.where((lead >= 0).all(0), 0, np.where(lead[-1] < 0, np.inf, between))
