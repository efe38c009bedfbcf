"""The numbers of `gahr.studies.link`: slopes predicted in every basis, beside those measured."""

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from gahr import metrics
from gahr.analysis import performance
from gahr.classical import rates
from gahr.studies.link.analysis import NULLS
from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.study import Arrays, AtMost, Check, Estimate, Limit, Number, mean_of

_FITTED = (0.01, 0.3)  # numbers k of the fit, as shares of d
OWN, EIGEN, SWAPPED = "own left singular vectors", "own eigenvectors", "another's left singular vectors"


class Prediction(NamedTuple):
    """Of the slope, in one basis: mean over images and its standard error."""

    risk: Number  # of the error of the best shrinkage, in the basis of each level
    decay: Number  # a / (a + 1) of the largest coefficients, mean over levels
    one_basis: Number  # of the error in the basis of a level as that level changes, mean over levels
    level: Number  # PSNR of the best shrinkage less that of the denoiser, dB, mean over levels


def fitted_numbers(size: int) -> tuple[int, int]:
    """First and last number k of the fit of the decay, of d = `size`."""
    return max(1, round(_FITTED[0] * size)), round(_FITTED[1] * size)


def in_basis(arrays: Arrays, name: str, who: str, basis: str) -> np.ndarray:
    """Squared coefficients of images i in a basis, (L, n, m, d), where m images j give one that is swapped."""
    prefix = f"{name}/{who}"
    number = arrays[f"{prefix}/trace"].shape[1]
    of = np.arange(number)
    if basis in (OWN, EIGEN):
        energy = arrays[f"{prefix}/{'left' if basis == OWN else 'eigen'}"]
        return energy[:, of, of][:, :, None]
    if basis == SWAPPED:
        others = np.stack([np.delete(of, i) for i in of])  # (n, n - 1)
        return arrays[f"{prefix}/left"][:, of[:, None], others]
    levels = len(arrays["input_psnr"])
    return np.stack([arrays[f"{name}/fixed/{basis}"][:number, None]] * levels)


def predict(arrays: Arrays, name: str, who: str, basis: str) -> Prediction:
    """The slope of a denoiser as a basis predicts it."""
    levels, energy = arrays["input_psnr"], jnp.asarray(in_basis(arrays, name, who, basis))
    size, number = energy.shape[-1], energy.shape[1]
    sigmas = metrics.sigma_of_input_psnr(levels)[:, None, None]
    risk = -10 * np.log10(np.asarray(rates.oracle_error(energy, sigmas)) / size).mean(2)  # PSNR, (L, n)
    a = np.asarray(rates.decay_exponent(energy, between=fitted_numbers(size)))
    slope = performance.psnr_slope(levels, risk.T, between=(levels[0], levels[-1]))
    return Prediction(
        Estimate(*map(float, slope)),
        spread((a / (a + 1)).mean((0, 2))),
        spread(np.asarray(rates.oracle_slope(energy, sigmas)).mean((0, 2))),
        spread((risk - arrays[f"{name}/{who}/psnr"][:number].T).mean(0)),
    )


def bases_of(arrays: Arrays, name: str) -> list[str]:
    """Bases that a network's slope is predicted in: own, another image's, and fixed ones."""
    fixed = [key.split("/")[-1] for key in arrays if key.startswith(f"{name}/fixed/")]
    return [OWN, EIGEN, SWAPPED, *fixed]


def measured_slope(arrays: Arrays, name: str, who: str) -> Estimate:
    """PSNR slope of a denoiser on the test images."""
    levels = arrays["input_psnr"]
    found = performance.psnr_slope(levels, arrays[f"{name}/{who}/psnr"], between=(levels[0], levels[-1]))
    return Estimate(*map(float, found))


def check(arrays: Arrays, *, slope_within: Limit = None) -> list[Check]:
    """Theory beside measurement: for every network its slope, and what each basis makes of it.

    Args:
      arrays: from `gahr.studies.link.analyze`.
      slope_within: mark for the distance of the slope that the risk in a network's own left singular vectors predicts
        from its slope; the other bases are its nulls.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    levels, checks = arrays["input_psnr"], []
    span = f"{levels[0]:g}-{levels[-1]:g} dB"
    for name in map(str, arrays["runs"]):
        alpha = float(arrays[f"{name}/alpha"])
        slope, others = measured_slope(arrays, name, "network"), _nulls(arrays, name)
        theory = {"alpha / (alpha + 1)": alpha / (alpha + 1)}
        checks += [
            Check(f"{name}: slope of the network, {span}", theory, slope, nulls=_slopes(arrays, name, others)),
            Check(f"{name}: |J|^2 / tr J, {span}", {"slope": slope.mean}, _ratio(arrays, name, "network")),
        ]
        found = {basis: predict(arrays, name, "network", basis) for basis in bases_of(arrays, name)}
        first, last = fitted_numbers(arrays[f"{name}/fixed/cosines"].shape[-1])
        words = f"slope by risk, by decay (k = {first} to {last}), by risk in one basis; PSNR of the risk - own, dB"
        checks += [Check(f"{name}: {basis}: {words}", {"slope": slope.mean}, list(found[basis])) for basis in found]
        distance = {basis: abs(mean_of(each.risk) - slope.mean) for basis, each in found.items()}
        line = f"{name}: |slope by risk in {OWN} - slope|"
        checks.append(Check(line, 0, distance.pop(OWN), AtMost(slope_within), distance))
        for who in others:
            own = {"slope": measured_slope(arrays, name, who).mean}
            checks.append(Check(f"{name}: {who}, {OWN}: the same", own, list(predict(arrays, name, who, OWN))))
    return checks


def _nulls(arrays: Arrays, name: str) -> list[str]:
    return [who for who in NULLS if f"{name}/{who}/psnr" in arrays]


def _slopes(arrays: Arrays, name: str, others: list[str]) -> Mapping[str, Number]:
    return {who: measured_slope(arrays, name, who) for who in others}


def _ratio(arrays: Arrays, name: str, who: str) -> Number:
    """|J|^2 / tr J, (sum over images of both at each level), mean and range over levels."""
    ratio = arrays[f"{name}/{who}/square"].sum(1) / arrays[f"{name}/{who}/trace"].sum(1)
    return Estimate(float(ratio.mean()), low=float(ratio.min()), high=float(ratio.max()))
