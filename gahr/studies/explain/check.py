"""What the study of explanations says: how much nearer to a network than the linear denoiser each prior is."""

from collections.abc import Sequence

import numpy as np

from gahr.studies.explain.analysis import LINEAR, OTHERS, PRIORS, SUBJECTS, SWAPPED, TWIN
from gahr.studies.shared.families import heading, repeats
from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.study import Arrays, AtLeast, Check, Limit

_MOST = 60.0  # dB; two denoisers may be one


def nearer(arrays: Arrays, family: str, name: str, *, subject: str = "network") -> np.ndarray:
    """10 log10(|S - L|^2 / |S - P|^2) of outputs S, of the linear denoiser L and of a predictor P, (K, S, n), dB.

    0 for the linear denoiser, negative where a predictor is further away; at most 60.
    """
    apart = arrays[f"{family}/{subject}/{name}"]
    linear = arrays[f"{family}/{subject}/{LINEAR}"][..., : apart.shape[-1]]
    return _decibel(linear, apart)


def nearer_samples(arrays: Arrays, family: str, name: str) -> np.ndarray:
    """The same of samples from one start, (K, n')."""
    return _decibel(arrays[f"{family}/samples/{LINEAR}"], arrays[f"{family}/samples/{name}"])


def _decibel(linear: np.ndarray, apart: np.ndarray) -> np.ndarray:
    least = 1e-30
    return np.clip(10 * np.log10(np.maximum(linear, least) / np.maximum(apart, least)), -_MOST, _MOST)


def best_prior(arrays: Arrays, family: str, *, subject: str = "network") -> tuple[np.ndarray, np.ndarray]:
    """Number in `PRIORS` (K, S) of the nearest one in the mean over images, and that mean, dB."""
    means = np.stack([nearer(arrays, family, name, subject=subject).mean(-1) for name in PRIORS])
    return means.argmax(0), means.max(0)


def beyond(arrays: Arrays, family: str, *, subject: str = "network") -> np.ndarray:
    """How much nearer than the best prior of each level the twin is, mean over levels, (K, n), dB."""
    which, _ = best_prior(arrays, family, subject=subject)
    every = np.stack([nearer(arrays, family, name, subject=subject) for name in PRIORS])
    best = np.take_along_axis(every, which[None, ..., None], 0)[0]
    return (nearer(arrays, family, TWIN, subject=subject) - best).mean(1)


def check(arrays: Arrays, *, memorizer_at_ten: Limit = None, beyond_priors_at_largest: Limit = None) -> list[Check]:
    """Theory and nulls beside measurement.

    Args:
      arrays: from `analyze`.
      memorizer_at_ten: mark for how much nearer than the linear denoiser the memorizer is at the N nearest to ten, dB.
      beyond_priors_at_largest: mark for how much nearer than the best prior the twin is at the largest N, dB.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    checks = []
    for kind, names in repeats(arrays).items():
        sizes, start = arrays[f"{names[0]}/set_sizes"], heading(kind, names)
        ten, largest = int(np.argmin(np.abs(np.log(sizes / 10)))), len(sizes) - 1
        nulls = [subject for subject in SUBJECTS if subject != "network" and f"{names[0]}/{subject}/{TWIN}" in arrays]
        of = lambda name, k, names=names, subject="network": spread(
            np.concatenate([nearer(arrays, each, name, subject=subject)[k].mean(0) for each in names])
        )
        gained = lambda k, subject="network", names=names: spread(
            np.concatenate([beyond(arrays, each, subject=subject)[k] for each in names])
        )
        filters = [subject for subject in nulls if subject != "memorizer"]
        checks += [
            Check(
                f"{start}: memorizer nearer to the network than the linear denoiser, N = {sizes[ten]:,}, dB",
                "> 0 where it memorizes",
                of("memorizer", ten),
                AtLeast(memorizer_at_ten),
                {LINEAR: 0.0, OTHERS: of(OTHERS, ten)} | {who: of("memorizer", ten, subject=who) for who in filters},
            ),
            Check(
                f"{start}: twin nearer to the network than the best prior, N = {sizes[largest]:,}, dB",
                "0 where a prior explains it",
                gained(largest),
                AtLeast(beyond_priors_at_largest),
                {who: gained(largest, who) for who in nulls},
            ),
        ]
        for k, number in enumerate(sizes):
            measured = {name: of(name, k) for name in _ordered(arrays, names, k)}
            text = f"{start}, N = {number:,}: nearer to the network than the linear denoiser, dB, mean over levels"
            checks.append(Check(text, {LINEAR: 0.0}, measured))
            alike = {
                name: float(np.mean([arrays[f"{each}/correlation/{name}"][k] for each in names]))
                for name in measured
                if name not in (LINEAR, SWAPPED)
            }
            text = f"{start}, N = {number:,}: correlation with what the network adds to the linear denoiser"
            checks.append(Check(text, {"same": 1.0}, alike))
            which, found = best_prior(arrays, names[0])
            best = {
                f"sigma {sigma:g}, {PRIORS[i]}": float(value)
                for sigma, i, value in zip(arrays["sigmas"], which[k], found[k], strict=True)
            }
            checks.append(Check(f"{start}, N = {number:,}: best prior of each level, dB", {LINEAR: 0.0}, best))
            drawn = {
                name: spread(np.concatenate([nearer_samples(arrays, each, name)[k] for each in names]))
                for name in (*PRIORS, TWIN)
            }
            drawn = dict(sorted(drawn.items(), key=lambda item: -item[1].mean))
            text = f"{start}, N = {number:,}: samples nearer to the network's than the linear denoiser's, dB"
            checks.append(Check(text, {LINEAR: 0.0}, drawn))
    return checks


def _ordered(arrays: Arrays, names: Sequence[str], k: int) -> list[str]:
    """Predictors at one N, the nearest first."""
    every = (*PRIORS, TWIN, SWAPPED)
    return sorted(every, key=lambda name: -nearer(arrays, names[0], name)[k].mean())
