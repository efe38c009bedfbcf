"""What the study of samplers says: theory beside measurement and null."""

import numpy as np

from gahr.studies.samplers.analysis import GAUSSIAN, HELD_OUT, LINEAR, MIXTURE, NEAREST, SAME_LAW
from gahr.studies.samplers.plans import ORDERS
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Limit, within


def order(arrays: Arrays, name: str) -> float:
    """Slope of -ln error against ln of the calls of a solver, between its two largest numbers."""
    errors, calls = np.log(arrays[f"{GAUSSIAN}/{name}/error"]), np.log(arrays["evaluations"])
    return float((errors[-2] - errors[-1]) / (calls[-1] - calls[-2]))


def check(
    arrays: Arrays, *, order_within: Limit = None, kurtosis_share: Limit = None, similarity_excess: Limit = None
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      order_within: mark for |order - theory| of the solvers of the ODE.
      kurtosis_share: mark for the excess kurtosis of the network's samples over that of images it has not seen.
      similarity_excess: mark for the median similarity of its samples to the nearest training image, above that of
        images it has not seen.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    samplers, checks = [str(name) for name in arrays["samplers"]], []
    for name, theory in ORDERS.items():
        if name in samplers:
            mark = within(order_within, of=theory)
            checks.append(Check(f"Gaussian: order of {name}", theory, order(arrays, name), mark))
    for prior in (GAUSSIAN, MIXTURE):
        last = {
            name: float(arrays[f"{prior}/{name}/frechet"][-1])
            for name in samplers
            if f"{prior}/{name}/frechet" in arrays
        }
        text = f"{prior}: Frechet distance, {arrays['evaluations'][-1]} calls"
        checks.append(Check(text, {"exact samples": float(arrays[f"{prior}/floor"])}, last))
    light = {
        name: float(arrays[f"{MIXTURE}/{name}/light"][-1]) for name in samplers if f"{MIXTURE}/{name}/light" in arrays
    }
    checks.append(
        Check(
            "mixture: share of the lighter mode, as many calls",
            {"weight": float(arrays[f"{MIXTURE}/weight"]), "exact samples": float(arrays[f"{MIXTURE}/exact/light"])},
            light,
        )
    )
    of = lambda name, quantity: float(arrays[f"sets/{name}/{quantity}"])
    nulls = lambda quantity: {name: of(name, quantity) for name in (SAME_LAW, LINEAR)}
    calls = int(arrays["network_evaluations"][-1])
    for quantity, text in (("frechet", "Frechet distance"), ("spectral", "error of the spectrum, dB")):
        last = {name: float(arrays[f"network/{name}/{quantity}"][-1]) for name in samplers
                if f"network/{name}/{quantity}" in arrays}  # fmt: skip
        floor = {HELD_OUT: of(HELD_OUT, quantity)}
        checks.append(Check(f"network: {text}, {calls} calls", floor | nulls(quantity), last))
    share = lambda name: of(name, "kurtosis") / of(HELD_OUT, "kurtosis")
    excess = lambda name: of(name, "nearest") - of(HELD_OUT, "nearest")
    return [
        *checks,
        Check(
            "network, heun: excess kurtosis of differences, over that of held-out images",
            1,
            share("network"),
            AtLeast(kurtosis_share),
            {name: share(name) for name in (SAME_LAW, LINEAR)},
        ),
        Check(
            "network, heun: similarity to the nearest training image, above that of held-out images",
            0,
            excess("network"),
            AtMost(similarity_excess),
            {NEAREST: excess(NEAREST)},
        ),
        Check(
            "median similarity to the nearest training image",
            None,
            {str(name): of(name, "nearest") for name in arrays["sets"]},
        ),
    ]
