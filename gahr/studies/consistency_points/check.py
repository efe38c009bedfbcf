"""The checks of `gahr.studies.consistency_points`: distance to the exact function beside that of nulls."""

import numpy as np

from gahr.studies.consistency_points.analysis import AMPLITUDES, METHODS, NULLS, SETS
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Limit


def check(arrays: Arrays, *, error: Limit = None, error_line: Limit = None, right: Limit = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      error, error_line: marks for the median distance to the exact end in the plane and on the line, image units.
      right: mark for the share of points on the line nearest to the mode of the exact end; in the plane nulls meet any.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    checks = []
    for which, words in SETS.items():
        networks, nulls = ([who for who in names if f"{which}/{who}/error" in arrays] for names in (METHODS, NULLS))
        limit, share = (error_line, right) if which == "line" else (error, None)
        for who in networks:
            of = lambda quantity, who, reduce=np.median, which=which: float(reduce(arrays[f"{which}/{who}/{quantity}"]))
            beside = lambda quantity, reduce=np.median, of=of, nulls=nulls: {
                null: of(quantity, null, reduce) for null in nulls
            }
            line = f"{words}, {METHODS[who]}"
            scores, levels = (arrays[f"{which}/{who}/{quantity}"] for quantity in ("scores", "levels"))
            left, exact = (arrays[f"{which}/{who}/{quantity}"][1] for quantity in ("left", "left_exact"))
            moved = f"noise moved by {AMPLITUDES[1]:g} sigma"
            checks += [
                Check(f"{line}: median error of the end", 0, of("error", who), AtMost(limit), beside("error")),
                Check(
                    f"{line}: share on the right mode", 1, of("right", who, np.mean), AtLeast(share),
                    beside("right", np.mean),
                ),
                Check(
                    f"{line}: median relative error of the Jacobian", 0, of("jacobian", who),
                    nulls=beside("jacobian"),
                ),
                Check(f"{line}: cosine of leading left vectors", 1, of("cosine", who), nulls=beside("cosine")),
                Check(
                    f"{line}: {moved}, relative error of the answer", 0, float(arrays[f"{which}/{who}/answer"][1]),
                    nulls={null: float(arrays[f"{which}/{null}/answer"][1]) for null in nulls},
                ),
                Check(f"{line}: {moved}, share that leaves its mode", {"exact": float(exact)}, float(left)),
                Check(
                    f"{line}: energy distance of one step and of two, the second from sigma = {levels[1]:.2g}",
                    {"same law": 0}, scores.tolist(),
                ),
            ]  # fmt: skip
    order = Check("line: largest difference of the ODE and the quantile map", 0, float(arrays["line/quantile"]))
    return [*checks, order]
