"""The numbers of `gahr.studies.twins`, beside theory."""

from collections.abc import Sequence
from typing import NamedTuple

import jax
import numpy as np

from gahr.analysis import transition
from gahr.analysis.transition import Interval
from gahr.studies.shared.families import estimate, heading, nearest_size, of_all, over_repeats, over_values, repeats
from gahr.studies.shared.study import Above, Arrays, AtLeast, Check, Limit
from gahr.studies.shared.style import NULLS

_COPIED = "nearest image where twins are less alike"


class Summary(NamedTuple):
    nearest: Interval  # (K,) median similarity of samples to their nearest training images
    twin: Interval  # (K,) median similarity of twins
    share: Interval  # (K,) of pairs that are memorized
    lead: Interval  # twin less nearest at the largest N
    overtaking: Interval  # N at which twins overtake nearest images, from one of the sizes to another; NaN of one alone


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
    found = Summary(*map(over_repeats, zip(*found, strict=True)))
    return found._replace(overtaking=transition.on_grid(sizes, found.overtaking)) if len(sizes) > 1 else found


def check(
    arrays: Arrays,
    *,
    memorized: Limit = None,
    twin_at_largest: Limit = None,
    lead_at_largest: Limit = None,
    kurtosis_at_largest: Limit = None,
) -> list[Check]:
    """Theory and nulls beside measurement; of repeats the mean, which is held to the marks, and the range.

    Args:
      arrays: from `gahr.studies.twins.analyze`.
      memorized: mark for the median similarity to the nearest training image, with twins less alike, at N = 1 and at
        some N of 10 or more.
      twin_at_largest: mark for the median similarity of twins at the largest N.
      lead_at_largest: mark for how far that is above the median similarity to the nearest image.
      kurtosis_at_largest: mark for the kurtosis of the samples' differences between neighbours there over that of test
        images, medians: linear denoisers and filters have twins too, but make Gaussian fields.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    checks = []
    for kind, names in repeats(arrays).items():
        title, sizes, found = heading(kind, names), arrays[f"{names[0]}/set_sizes"], summary(arrays, names)
        nulls = {who: null_medians(arrays, names, f"/{who}") for who in NULLS if f"{names[0]}/twin/{who}" in arrays}
        floor = of_all(arrays, names, "floor").mean(0)
        for k, number in enumerate(sizes):
            checks += [
                Check(
                    f"{title}: twin, nearest image, N = {number}",
                    {"memorizing: nearest": 1, "twin at most": float(floor[k]), "generalizing: twin": 1},
                    {"twin": estimate(found.twin, k=k), "nearest": estimate(found.nearest, k=k)},
                    AtLeast(twin_at_largest if number == sizes[-1] else None),
                    {who: alike[k] for who, (near, alike) in nulls.items()},
                ),
                Check(f"{title}: share of pairs memorized, N = {number}", "1 falls to 0", estimate(found.share, k=k)),
            ]
        if memorized is not None:
            parts = _copied(sizes, found.nearest.value, found.twin.value)
            copied = {who: min(_copied(sizes, *medians).values()) for who, medians in nulls.items()}
            measured = {"least": min(parts.values())} | parts
            checks.append(Check(f"{title}: {_COPIED}", "1, small N", measured, Above(memorized), copied))
        name = f"{title}: twin less nearest image, N = {sizes[-1]}"
        lead = {who: alike[-1] - near[-1] for who, (near, alike) in nulls.items()}
        checks.append(Check(name, "above 0, generalizing", estimate(found.lead), AtLeast(lead_at_largest), lead))
        name = f"{title}: kurtosis of differences over that of test images, N = {sizes[-1]}"
        contours = {who: over_values(kurtosis(arrays, names, f"/{who}")).value for who in nulls}
        measured = estimate(over_values(kurtosis(arrays, names, "")))
        checks.append(Check(name, {"images": 1}, measured, AtLeast(kurtosis_at_largest), contours))
        if len(sizes) > 1:
            name = f"{title}: N at which twins overtake nearest images"
            checks.append(Check(name, "more with more features", estimate(found.overtaking)))
        for k, number in enumerate(sizes):
            own, swapped, fixed = (
                estimate(over_values(of_all(arrays, names, f"subspaces{which}")[:, k].reshape(len(names), -1).mean(1)))
                for which in ("", "_swapped", "_linear")
            )
            checks.append(
                Check(
                    f"{title}: overlap of leading left singular vectors of twins at one image, N = {number}",
                    {"one function": 1, "chance": float(arrays[f"{names[0]}/chance"][k])},
                    {"one image": own, "two images": swapped},
                    nulls={"linear": fixed},
                )
            )
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


def null_medians(arrays: Arrays, names: Sequence[str], who: str) -> tuple[np.ndarray, np.ndarray]:
    """Median similarities to the nearest images and of twins (K,), means over the repeats."""
    near, alike = (of_all(arrays, names, f"{quantity}{who}") for quantity in ("nearest", "twin"))
    return np.median(near.mean(2), -1).mean(0), np.median(alike, -1).mean(0)


def _copied(sizes: np.ndarray, near: np.ndarray, alike: np.ndarray) -> dict[str, float]:
    """Similarity to the nearest image where twins are less alike, else 0, at N = 1 and at the best N from 10."""
    copies = np.where(alike < near, near, 0)
    parts = {"N = 1": copies[sizes == 1], "best N from 10": copies[sizes >= 10]}
    return {name: float(values.max(initial=0)) for name, values in parts.items()}


def kurtosis(arrays: Arrays, names: Sequence[str], who: str) -> np.ndarray:
    """Of samples over that of test images, medians, at the largest N, of each repeat (R,)."""
    of_images = of_all(arrays, names, "kurtosis_of_images")
    of_samples = of_all(arrays, names, f"kurtosis{who}")[:, -1].reshape(len(names), -1)
    return np.median(of_samples, -1) / np.median(of_images, -1)
