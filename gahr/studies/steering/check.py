"""What the study of steering says: theory beside measurement and null."""

import numpy as np

from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.study import Arrays, AtLeast, Check, Limit
from gahr.studies.steering.analysis import AMPLITUDES, MIXED, ORDERS, READINGS


def check(arrays: Arrays, *, additivity: Limit = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      additivity: mark for the departure from additive answers at 10 standard deviations, at least: what a linear map
        cannot do.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    sines = np.arange(len(ORDERS))
    gain = np.median(arrays["student/gain"], -1)  # (D, A)
    ratio = gain[sines, 1] / arrays["predicted"][sines]
    logarithms = np.log(gain[sines, 1]), np.log(arrays["predicted"][sines])
    rank = list(arrays["names"]).index("sine 4,3")
    order = int((gain[sines, 3] > gain[rank, 3]).sum()) + 1
    lost = {f"{a:g} sd": float(np.median(arrays["student/kept"][rank, k])) for k, a in enumerate(AMPLITUDES)}
    steered = np.median(arrays["steered"], -1)
    words_of = {"one": "4,3", "mixed": MIXED}
    return [
        Check(
            "gain of sines at 0.3 sd over sqrt(S / (S + sigma^2)), median and range",
            {"Gaussian images": 1},
            (float(np.median(ratio)), float(ratio.min()), float(ratio.max())),
        ),
        Check("correlation of their logarithms", 1, float(np.corrcoef(*logarithms)[0, 1])),
        Check(
            "gain of sines at 10 sd over that at 0.3 sd",
            {"linear": 1},
            float(np.median(gain[sines, 4] / gain[sines, 1])),
        ),
        Check("place of sine 4,3 among the 26 by gain at 3 sd", "no finding where the spectrum says so", order),
        Check("similarity of the output to the undisturbed one, sine 4,3", None, lost),
        *(
            Check(
                f"similarity to the undisturbed output, unit sines of the report at sigma = {reading:.3g}",
                None,
                {words: float(np.median(arrays[f"reading {reading:.3g}/{name}"])) for name, words in words_of.items()},
                nulls={"white": float(np.median(arrays[f"reading {reading:.3g}/white"]))},
            )
            for reading in READINGS
        ),
        Check(
            "share of the change that is the sine itself, 1 sd",
            {"linear, stationary": 1},
            spread(arrays["student/sine_share"][sines].mean(0)),
        ),
        Check(
            "departure from additivity, 0.7 of 4,3 and 0.3 of 6,6, 10 sd",
            {"linear": 0},
            float(np.median(arrays["student/additivity"][4])),
            AtLeast(additivity),
            nulls={"linear": float(np.median(arrays["linear/additivity"][4]))},
        ),
        Check(
            "cosine with a wanted change, 26 sines: predicted, reached",
            {"26 right singular vectors": float(steered[1, 1]), "26 white directions": float(steered[2, 1])},
            tuple(map(float, steered[0])),
        ),
        Check(
            "straightness of outputs: sines, noise to noise", {"line": 1}, tuple(np.median(arrays["straightness"], -1))
        ),
        Check("largest step over the median: the same", {"even": 1}, tuple(np.median(arrays["jump"], -1))),
    ]
