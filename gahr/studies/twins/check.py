"""The numbers of `gahr.studies.twins`, beside theory."""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import numpy as np

from gahr.analysis import transition
from gahr.analysis.transition import Interval
from gahr.studies.common import Check, at_least
from gahr.studies.shared.families import heading, nearest_size, over_repeats, over_values, repeats, written


class Summary(NamedTuple):
    nearest: Interval  # (K,) median similarity of samples to their nearest training images
    twin: Interval  # (K,) median similarity of twins
    share: Interval  # (K,) of pairs that are memorized
    lead: float  # twin less nearest at the largest N
    overtaking: Interval | None  # N at which twins overtake nearest images; of one size none


def pairs(arrays: Mapping[str, np.ndarray], variant: str) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of each pair of samples, to the nearest images and to each other, (K, S).

    The nearest image is sought in each network's own set and the two similarities are averaged: the two samples of a
    pair grow from one noise, so that the pair, not the sample, is the unit of an interval.
    """
    return arrays[f"{variant}/nearest"].mean(1), arrays[f"{variant}/twin"]


def summary(arrays: Mapping[str, np.ndarray], variant: str) -> Summary:
    """Medians, share and overtaking N of one variant, with intervals over pairs of samples."""
    nearest, twin = pairs(arrays, variant)
    found = [transition.memorization_index(*rows) for rows in zip(nearest, twin, strict=True)]
    near, alike, share = (
        Interval(*np.transpose([getattr(each, name) for each in found])) for name in ("nearest", "twin", "share")
    )
    point = None
    if len(found) > 1:
        point = transition.transition_point(arrays[f"{variant}/set_sizes"], nearest, twin, key=jax.random.key(0))
    return Summary(near, alike, share, float(alike.value[-1] - near.value[-1]), point)


def check(
    arrays: Mapping[str, np.ndarray],
    *,
    memorized: float | None = None,
    twin_at_largest: float | None = None,
    lead_at_largest: float | None = None,
) -> list[Check]:
    """Theory beside measurement; of repeats the mean, which is held to the marks, and the range.

    Args:
      arrays: from `gahr.studies.twins.analyze`.
      memorized: mark for the median similarity to the nearest training image, with twins less alike, at N = 1 and at
        some N of 10 or more.
      twin_at_largest: mark for the median similarity of twins at the largest N.
      lead_at_largest: mark for how far that is above the median similarity to the nearest image.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    checks = []
    for kind, variants in repeats(arrays).items():
        title, sizes = heading(kind, variants), arrays[f"{variants[0]}/set_sizes"]
        each = [summary(arrays, variant) for variant in variants]
        near, twin, share = (
            over_repeats([getattr(one, name) for one in each]) for name in ("nearest", "twin", "share")
        )
        floor = np.mean([arrays[f"{variant}/floor"] for variant in variants], 0)
        for k, number in enumerate(sizes):
            verdict: tuple = ()
            if k == len(sizes) - 1 and twin_at_largest is not None:
                verdict = (f"twin >= {twin_at_largest:g}", bool(twin.value[k] >= twin_at_largest))
            checks += [
                Check(
                    f"{title}: nearest image, twin, N = {number}",
                    f"memorizing: 1, {floor[k]:.2f} or less; generalizing: below twin, 1",
                    f"{written(_at(near, k))}, {written(_at(twin, k))}",
                    *verdict,
                ),
                Check(f"{title}: share of pairs memorized, N = {number}", "1 falls to 0", written(_at(share, k))),
            ]
        if memorized is not None:
            good = sizes[(near.value > memorized) & (twin.value < near.value)]
            checks.append(
                Check(
                    f"{title}: N where samples are copies and twins differ",
                    "the small ones",
                    ", ".join(map(str, good)) or "none",
                    f"1, and one from 10, above {memorized:g}",
                    bool(1 in good and any(good >= 10)),
                )
            )
        lead = over_values([one.lead for one in each])
        name = f"{title}: twin less nearest image, N = {sizes[-1]}"
        checks.append(Check(name, "above 0, generalizing", written(lead), *at_least(lead.value, lead_at_largest)))
        if len(sizes) > 1:
            text = written(over_repeats([one.overtaking for one in each]), digits=".3g")
            checks.append(Check(f"{title}: N at which twins overtake nearest images", "more with more features", text))
        number = nearest_size(sizes)
        patches = np.mean([arrays[f"{variant}/patches"] for variant in variants], 0)[list(sizes).index(number)]
        text = ", ".join(f"{value:.3f}" for value in patches)
        checks.append(Check(f"{title}: patches like those of own, other set, N = {number}", "own above other", text))
        stopped, steps = (
            np.stack([arrays[f"{variant}/{name}"] for variant in variants]) for name in ("diverged", "steps")
        )
        text = f"{steps.mean():.0f}, {int(stopped.sum())} of {stopped.size}"
        theory = f"{arrays['expected_steps']}, exact denoiser; 0"
        checks.append(Check(f"{title}: steps, samples that diverged", theory, text))
    return checks


def _at(found: Interval, k: int) -> Interval:
    return Interval(*(values[k] for values in found))
