"""What the study of disks says: theory beside measurement."""

import numpy as np

from gahr.analysis import performance
from gahr.data import disks
from gahr.studies.disks.analysis import FIXED, is_small
from gahr.studies.shared.disk_sets import DIMENSION
from gahr.studies.shared.measures import mean_and_range
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Estimate, Limit

_BETWEEN = (20.0, 34.0)  # input PSNRs of the slopes, dB
_SHOWN_DB = 20.0  # input PSNR at which the network is held against the exact posterior mean


def check(
    arrays: Arrays, *, overlap: Limit = None, dimension_ratio: Limit = None, psnr_below_exact: Limit = None
) -> list[Check]:
    """Theory and nulls beside measurement.

    Args:
      arrays: from `analyze`.
      overlap: mark for the mean over disks of the overlap of the five leading eigenvectors with the tangent space.
      dimension_ratio: mark for the largest tr J over that of the exact posterior, which is near 5, at sigma up to 0.1.
      psnr_below_exact: mark for the output PSNR at 20 dB below that of the exact posterior mean, dB.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    get = arrays.__getitem__
    names = ("shrinkage", "exact_shrinkage", "singular_values", "network", "exact", "captured")
    means = {name: get(name).mean(0) for name in names}
    five = lambda name, start: tuple(means[name][start : start + 5])
    small, levels, pixels = is_small(get("sigmas")), get("input_psnr"), int(get("size")) ** 2
    # as sigma falls
    trace, exact_trace, energy = (get(name).mean(0)[small][::-1] for name in ("trace", "exact_trace", "energy"))
    low, high = get("sigmas")[small][[0, -1]]
    chance = {"exact posterior": get("exact_overlap").mean(), "chance": DIMENSION / pixels}
    sides = {side: get(f"{side}_overlap").mean() for side in ("left", "right")}
    ratio = lambda each: (each[small][::-1] / exact_trace).max()
    nulls = [who for who in FIXED if f"network/{who}" in arrays]
    of_nulls = lambda measure, name: {who: float(measure(get(f"{name}/{who}"))) for who in nulls}
    checks = [
        Check(
            f"overlap of 5 leading eigenvectors and tangents, sigma = {get('sigma'):g}",
            {"optimum": 1} | chance,
            mean_and_range(get("overlap")),
            AtLeast(overlap),
            of_nulls(np.mean, "overlap"),
        ),
        Check("share of each tangent vector in them", 1, disks.Parameters(*means["captured"])._asdict()),
        Check("eigenvalues above 1/2, and share of the tangents there", (5, 1), _kept(get("shrinkage"), get("held"))),
        Check("share of |x|^2 in the 5 leading", 1, get("preserved").mean()),
        Check("eigenvalues 1 to 5, beside the exact posterior's", five("exact_shrinkage", 0), five("shrinkage", 0)),
        Check("eigenvalues 6 to 10, beside the exact posterior's", five("exact_shrinkage", 5), five("shrinkage", 5)),
        Check("asymmetry |J - J^T| / |J|", {"exact MMSE": 0}, get("asymmetry").mean()),
        Check("singular values 1 to 5", "the eigenvalues, where symmetric", five("singular_values", 0)),
        Check("overlap of 5 leading singular vectors and tangents", "that of the eigenvectors, where symmetric", sides),
        Check(
            f"largest tr J over the exact posterior's, sigma {low:.2g} to {high:.2g}",
            {"exact posterior": 1},
            ratio(get("trace").mean(0)),
            AtMost(dimension_ratio),
            of_nulls(ratio, "trace"),
        ),
        Check(
            f"tr J as sigma falls, {high:.2g} to {low:.2g}, beside the exact posterior's",
            tuple(exact_trace),
            tuple(trace),
        ),
        Check("|J|^2 at these sigma", "tr J, a projection", tuple(energy)),
    ]
    if performance.levels_between(levels, _BETWEEN).sum() > 1:
        for name in ("exact", "network"):
            slope = Estimate(*performance.psnr_slope(levels, get(name), between=_BETWEEN))
            checks.append(Check(f"PSNR slope, {name}, 20-34 dB", 1, slope))
    below = lambda psnr: np.interp(_SHOWN_DB, levels, means["exact"] - psnr.mean(0))
    text = f"output PSNR below the exact posterior's at {_SHOWN_DB:g} dB, dB"
    apart = of_nulls(below, "network")
    checks.append(Check(text, {"optimum": 0}, below(get("network")), AtMost(psnr_below_exact), apart))
    for decibel in (10, 20, 30):
        exact, network = (np.interp(decibel, levels, means[name]) for name in ("exact", "network"))
        theory = {"exact": exact, "five dimensions": decibel + 10 * np.log10(pixels / DIMENSION)}
        checks.append(Check(f"output PSNR at {decibel} dB, dB", theory, network))
    effective = {"least": get("effective").min(), "median": np.median(get("effective"))}
    return [*checks, Check("effective samples of the exact posterior", "> 100", effective)]


def _kept(shrinkage: np.ndarray, held: np.ndarray) -> tuple[float, float]:
    numbers = (shrinkage > 0.5).sum(1)
    shares = [row[number - 1] if number else 0.0 for row, number in zip(held, numbers, strict=True)]
    return numbers.mean(), np.mean(shares)
