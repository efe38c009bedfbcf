"""What the card says: theory beside measurement."""

import numpy as np

from gahr.studies.card.analysis import SHRUNK
from gahr.studies.shared.measures import mean_and_range
from gahr.studies.shared.study import Arrays, AtMost, Check, Estimate, Limit, Values, within

_SHOWN_DB = (10, 20, 30)  # input PSNRs whose values are in the table


def check(arrays: Arrays, *, standard_errors: Limit = None) -> list[Check]:
    """Theory, for an exact denoiser or a bias-free one, beside measurement.

    Args:
      arrays: from `analyze`.
      standard_errors: mark for the largest departure, over the noise levels, of what theory says is zero: mse d /
        sigma^2 - tr J of exact denoisers, SURE - mse of all, and the KL integral between two Gaussians from its
        known value.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    sigmas, checks = arrays["sigmas"], []
    for name, exact in zip(arrays["names"], arrays["exact"], strict=True):
        get = lambda field, name=name: arrays[f"{name}/{field}"]
        label = f"{name}, exact" if exact else str(name)
        for at_level in sorted({int(np.argmin(np.abs(sigmas - 10 ** (-decibel / 20)))) for decibel in _SHOWN_DB}):
            mse, trace = (Estimate(*get(field)[at_level]) for field in ("mse", "trace"))
            checks.append(Check(f"{label}: tr J, sigma = {sigmas[at_level]:.3g}", {"mse d / sigma^2": mse}, trace))
        ranges = {field: mean_and_range(get(field)[:, 0]) for field in ("slope", "measured_slope")}
        of_exact, of_all = AtMost(standard_errors if exact else None), AtMost(standard_errors)
        worst = f"{label}: |mse d / sigma^2 - tr J|, largest over sigma"
        checks += [
            Check(worst, {"exact MMSE": 0}, _departure(get("excess")), of_exact),
            Check(f"{label}: |SURE - mse| d / sigma^2", 0, _departure(get("sure_error")), of_all),
            Check(f"{label}: |J|^2 / tr J", {"PSNR slope of the mean mse": ranges["measured_slope"]}, ranges["slope"]),
        ]
        for field, text, kind in (
            ("asymmetry", "|J - J^T| / |J|", "exact MMSE"),
            ("homogeneity_error", "|D(cy) - c D(y)| / |c D(y)|", "bias-free"),
            ("linearity_error", "|J y - D(y)| / |D(y)|", "bias-free"),
        ):
            checks.append(Check(f"{label}: {text}", {kind: 0}, mean_and_range(get(field)[:, 0])))
    low, high = arrays["kl/sigmas"][[0, -1]]
    for name in arrays["kl/names"]:
        kl, error, below, prior = (arrays[f"kl/{name}/{field}"] for field in ("kl", "standard_error", "below", "prior"))
        text = f"KL(Gaussian images, {name}), nats, sigma {low:.2g} to {high:.2g}"
        measured = {"KL": Estimate(kl, error), "below": below, "start from white noise at most": prior}
        if name == SHRUNK:
            margin = None if standard_errors is None else standard_errors * error
            checks.append(Check(text, arrays["kl/theory"], measured, within(margin, of=arrays["kl/theory"])))
        else:
            checks.append(Check(text, {"exact for the Gaussian": 0}, measured))
    return checks


def _departure(values: np.ndarray) -> Values:
    """The largest |mean| in standard errors, over the levels, of values (S, 2), and that mean."""
    errors = np.abs(values[:, 0]) / values[:, 1]
    worst = np.argmax(errors)
    return {"standard errors": errors[worst], "value": values[worst, 0]}
