"""The numbers of `gahr.studies.twins`, beside theory."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from gahr.analysis import transition
from gahr.analysis.transition import Interval
from gahr.studies.shared.families import estimate, heading, nearest_size, of_all, over_repeats, over_values, repeats
from gahr.studies.shared.study import Above, Arrays, AtLeast, Check, Limit


class Summary(NamedTuple):
    nearest: Interval  # (K,) median similarity of samples to their nearest training images
    twin: Interval  # (K,) median similarity of twins
    share: Interval  # (K,) of pairs that are memorized
    lead: Interval  # twin less nearest at the largest N
    overtaking: Interval  # N at which twins overtake nearest images; NaN of one size alone


def pairs(arrays: Arrays, names: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Similarities of each pair of samples, to the nearest images and to each other, (R, K, S) over repeats.

    The nearest image is sought in each network's own set and the two similarities are averaged: the two samples of a
    pair grow from one noise, so that the pair, not the sample, is the unit of an interval.
    """
    return of_all(arrays, names, "nearest").mean(2), of_all(arrays, names, "twin")


def summary(arrays: Arrays, names: Sequence[str]) -> Summary:
    """Medians, share and overtaking N of the repeats of a kind; of one alone with intervals over pairs of samples."""
    sizes, found = arrays[f"{names[0]}/set_sizes"], []
    for nearest, twin in zip(*pairs(arrays, names), strict=True):
        each = [transition.memorization_index(*rows) for rows in zip(nearest, twin, strict=True)]
        near, alike, share = (
            Interval(*np.transpose([getattr(one, name) for one in each])) for name in ("nearest", "twin", "share")
        )
        point = over_values([np.nan])
        if len(sizes) > 1:
            point = transition.transition_point(sizes, nearest, twin, key=jax.random.key(0))
        found.append(Summary(near, alike, share, over_values([alike.value[-1] - near.value[-1]]), point))
    return Summary(*map(over_repeats, zip(*found, strict=True)))


def check(
    arrays: Arrays, *, memorized: Limit = None, twin_at_largest: Limit = None, lead_at_largest: Limit = None
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
    for kind, names in repeats(arrays).items():
        title, sizes, found = heading(kind, names), arrays[f"{names[0]}/set_sizes"], summary(arrays, names)
        floor = of_all(arrays, names, "floor").mean(0)
        for k, number in enumerate(sizes):
            checks += [
                Check(
                    f"{title}: twin, nearest image, N = {number}",
                    {"memorizing: nearest": 1, "twin at most": float(floor[k]), "generalizing: twin": 1},
                    {"twin": estimate(found.twin, k=k), "nearest": estimate(found.nearest, k=k)},
                    AtLeast(twin_at_largest if number == sizes[-1] else None),
                ),
                Check(f"{title}: share of pairs memorized, N = {number}", "1 falls to 0", estimate(found.share, k=k)),
            ]
        if memorized is not None:
            copies = np.where(found.twin.value < found.nearest.value, found.nearest.value, 0)
            parts = {"N = 1": copies[sizes == 1], "best N from 10": copies[sizes >= 10]}
            parts = {name: float(values.max(initial=0)) for name, values in parts.items()}
            name = f"{title}: nearest image where twins are less alike"
            checks.append(Check(name, "1, small N", {"least": min(parts.values())} | parts, Above(memorized)))
        name = f"{title}: twin less nearest image, N = {sizes[-1]}"
        checks.append(Check(name, "above 0, generalizing", estimate(found.lead), AtLeast(lead_at_largest)))
        if len(sizes) > 1:
            name = f"{title}: N at which twins overtake nearest images"
            checks.append(Check(name, "more with more features", estimate(found.overtaking)))
        number = nearest_size(sizes)
        own, other = of_all(arrays, names, "patches").mean(0)[list(sizes).index(number)].tolist()
        stopped, steps = (of_all(arrays, names, quantity) for quantity in ("diverged", "steps"))
        checks += [
            Check(
                f"{title}: similarity of patches, N = {number}", "own above other", {"own set": own, "other set": other}
            ),
            Check(
                f"{title}: steps, samples that diverged",
                {"steps, exact denoiser": int(arrays["expected_steps"]), "diverged": 0},
                {"steps": float(steps.mean()), "diverged": int(stopped.sum()), "of": stopped.size},
            ),
        ]
    return checks
