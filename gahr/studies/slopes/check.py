"""The numbers of `gahr.studies.slopes`, beside theory and nulls."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from gahr.analysis import performance
from gahr.studies.shared.measures import mean_and_range
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Estimate, Limit, Number, mean_of, within
from gahr.studies.shared.style import NULLS

_OFTEN = 3  # passes through the training images from which on a gap to test images could have opened


def exponents(alpha: float, background_alpha: float) -> dict[str, float]:
    """Slopes that theory suggests.

    "class" is alpha / (alpha + 1) of the class C^alpha. White noise filtered by |k|^-alpha is less regular than
    C^alpha: alpha - 1/2 along a curve and alpha - 1 in the plane, which makes the slope
    (alpha - 1/2) / (alpha + 1/2) for the contour and (beta - 1) / beta for a background of exponent beta,
    0 where beta <= 1.
    """
    return {
        "class": alpha / (alpha + 1),
        "contour": max(0.0, (alpha - 0.5) / (alpha + 0.5)),
        "background": max(0.0, (background_alpha - 1) / background_alpha),
    }


def kinds(arrays: Arrays) -> dict[str, list[str]]:
    """Runs that differ in the repeat alone, by kind."""
    found: dict[str, list[str]] = {}
    for kind, name in zip(arrays["kinds"], arrays["runs"], strict=True):
        found.setdefault(str(kind), []).append(str(name))
    return found


def check(
    arrays: Arrays,
    *,
    slope_within: Limit = None,
    gain_over_wiener: Mapping[str, float] | None = None,
    train_test_gap: Limit = None,
) -> list[Check]:
    """Theory and nulls beside measurement; of repeats the mean, which is held to the marks, and the range.

    Args:
      arrays: from `gahr.studies.slopes.analyze`.
      slope_within: mark for |slope - alpha / (alpha + 1)|; none where the linear denoiser is within it as well.
      gain_over_wiener: input PSNR in dB (a name such as "20") -> least gain over the linear denoiser, dB.
      train_test_gap: mark for the largest |train - test| PSNR beyond that of the 3x3 filter, dB; none where training
        drew each of its images fewer than three times in the mean, so that no gap could open.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    gains = gain_over_wiener or {}
    decibels = sorted({20, 30} | {int(decibel) for decibel in gains})
    checks = []
    for kind, names in kinds(arrays).items():
        title = kind if len(names) == 1 else f"{kind} (mean, range of {len(names)})"
        checks += _slopes(arrays, title, names, slope_within)
        for decibel in decibels:
            gain = _beside(arrays, names, _gain, decibel)
            mark = AtLeast(gains.get(str(decibel)))
            text = f"{title}: gain over linear at {decibel} dB, dB"
            checks.append(Check(text, "> 0", gain.pop("network"), mark, gain))
        passes, gaps = float(arrays[f"{names[0]}/passes"]), _beside(arrays, names, _gap)
        mark = AtMost(train_test_gap if passes >= _OFTEN else None)
        text = f"{title}: largest train-test gap beyond the filter's, dB, images seen {passes:.2g} times"
        checks.append(Check(text, 0.0, gaps.pop("network"), mark, gaps))
        for text, quantity in (
            ("|D(cy) - c D(y)| / |c D(y)|", "homogeneity_error"),
            ("|J y - D(y)| / |D(y)|", "linearity_error"),
        ):
            value = max(arrays[f"{name}/{quantity}"].max() for name in names)
            checks.append(Check(f"{title}: {text}", 0.0, value, AtMost(1e-5)))
    return checks


def _slopes(arrays: Arrays, title: str, names: Sequence[str], slope_within: Limit) -> list[Check]:
    between = arrays["fit_between"]
    inside = performance.levels_between(arrays["input_psnr"], between)
    span = f"{between[0]:g}-{between[1]:g} dB"
    theory = exponents(*(float(arrays[f"{names[0]}/{name}"]) for name in ("alpha", "background_alpha")))
    slopes = _beside(arrays, names, _slope)
    mark = within(slope_within, theory["class"])
    if slope_within is not None and mark.met(mean_of(slopes["linear"])):
        mark = None
    local = {
        quantity: _over(names, lambda name, quantity=quantity: mean_and_range(arrays[f"{name}/{quantity}"][inside]))
        for quantity in ("slope/network", "mse_slope", "identity")
    }
    filtered = {part: theory[part] for part in ("contour", "background")}
    of_mse = {"slope of the mean mse": local["mse_slope"]}
    return [
        Check(f"{title}: slope of the network, {span}", theory["class"], slopes.pop("network"), mark, slopes),
        Check(f"{title}: local slopes, {span}", filtered, local["slope/network"]),
        Check(f"{title}: slope from |J|^2 / tr J, {span}", of_mse, local["identity"]),
    ]


def _beside(arrays: Arrays, names: Sequence[str], measure: Callable[..., Number | None], *options: Any) -> dict:
    """A measure of the network and of the nulls that have it, over the repeats."""
    every = ("network", *(who for who in NULLS if f"{names[0]}/test/{who}" in arrays))
    of = {who: _over(names, lambda name, who=who: measure(arrays, name, who, *options)) for who in every}
    return {who: value for who, value in of.items() if value is not None}


def _over(names: Sequence[str], measure: Callable[[str], Number | None]) -> Number | None:
    """What is measured of one run, or the mean and range of several."""
    values = [measure(name) for name in names]
    if len(values) == 1 or values[0] is None:
        return values[0]
    return mean_and_range(np.array([mean_of(value) for value in values]))


def _slope(arrays: Arrays, name: str, who: str) -> Estimate:
    between = arrays["fit_between"]
    return Estimate(*performance.psnr_slope(arrays["input_psnr"], arrays[f"{name}/test/{who}"], between=between))


def _gain(arrays: Arrays, name: str, who: str, decibel: float) -> Estimate:
    """PSNR above the linear denoiser's on the same noisy images, and its error over images."""
    apart = arrays[f"{name}/test/{who}"] - arrays[f"{name}/test/linear"]
    gain = np.array([np.interp(decibel, arrays["input_psnr"], each) for each in apart])
    return Estimate(gain.mean(), gain.std(ddof=1) / np.sqrt(len(gain)))


def _gap(arrays: Arrays, name: str, who: str) -> float | None:
    """Largest train - test PSNR less that of the 3x3 filter, whose own says which images are harder."""
    if f"{name}/train/{who}" not in arrays:
        return None
    of = lambda who: arrays[f"{name}/train/{who}"].mean(0) - arrays[f"{name}/test/{who}"].mean(0)
    return float(np.abs(of(who) - of("3x3 filter")).max())
