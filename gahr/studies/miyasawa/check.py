"""What the study of posterior means says: formulas beside measurement."""

import numpy as np

from gahr.studies.shared.measures import mean_and_range
from gahr.studies.shared.study import Arrays, AtMost, Check, Estimate, Limit


def check(
    arrays: Arrays, *, field_within: Limit = None, sure_within: Limit = None, kl_within: Limit = None
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      field_within: mark for the relative errors of score and covariance. The nulls are the score of points without
        their weights, and Cov in place of Cov / sigma^2.
      sure_within: mark for |mean of SURE - mean error| over the mean error's own standard error from draws, largest
        over denoisers and levels. The null leaves the divergence out.
      kl_within: mark for |integral / closed form - 1|. The null has sigma^-2 in place of sigma^-3.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    checks = []
    for name in ("point", "points", "mixture"):
        get = lambda part, name=name: float(arrays[f"{name}/{part}"])
        nulls = {} if name != "points" else {"points without weights": get("unweighted_error")}
        checks += [
            Check(f"{name}: |score - grad ln p|, relative", 0, get("score_error"), AtMost(field_within), nulls),
            Check(
                f"{name}: |Cov / sigma^2 - I - sigma^2 Hess ln p|",
                0,
                get("hessian_error"),
                AtMost(field_within),
                {} if name == "point" else {"Cov in its place": get("as_covariance")},
            ),
        ]
    far, without = zip(*(_distances(arrays, name) for name in arrays["denoisers"].tolist()), strict=True)
    checks.append(
        Check(
            "|mean of SURE - mean error|, standard errors, largest",
            "below 4",
            float(np.max(far)),
            AtMost(sure_within),
            {"SURE without the divergence": float(np.max(without))},
        )
    )
    exact = arrays["exact/mse"].mean(1)
    for name in arrays["denoisers"].tolist()[1:]:
        excess = arrays[f"{name}/mse"].mean(1) - exact
        ratio = excess / arrays[f"{name}/gap"]
        checks.append(Check(f"{name}: excess error over E |D - D_exact|^2", 1.0, mean_and_range(ratio)))
    integral, error, closed = (float(value) for value in arrays["kl"])
    checks += [
        Check(
            "KL of two Gaussians: |integral / closed form - 1|",
            0,
            abs(integral / closed - 1),
            AtMost(kl_within),
            {"sigma^-2 in the integral": abs(float(arrays["kl_wrong"]) / closed - 1)},
        ),
        Check("KL of two Gaussians, nats", closed, Estimate(integral, error)),
    ]
    return checks


def _distances(arrays: Arrays, name: str) -> tuple[np.ndarray, np.ndarray]:
    """|mean of SURE - error| (S,) in standard errors of the mean difference; the same without the divergence."""
    differences = [arrays[f"{name}/{part}"] - arrays[f"{name}/mse"] for part in ("sure", "residual")]
    error = differences[0].std(1, ddof=1) / np.sqrt(differences[0].shape[1])
    return tuple(abs(each.mean(1)) / error for each in differences)
