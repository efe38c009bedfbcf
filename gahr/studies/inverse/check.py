"""What the study of inverse problems says: gains over the pseudo-inverse, of averaging, and over linear methods."""

from collections.abc import Mapping

import numpy as np

from gahr.studies.inverse.analysis import (
    GUIDED,
    LINEAR_GUIDED,
    LINEAR_MEAN,
    LINEAR_PLUG,
    LINEAR_SAMPLE,
    MEAN,
    METHODS,
    PLUG,
    PSEUDO,
    SAMPLE,
    WIENER,
)
from gahr.studies.shared.study import Arrays, AtLeast, Check, Estimate, Limit, Number


def psnr_of(arrays: Arrays, task: int, method: str) -> np.ndarray:
    """PSNR of a method on one task, (I,), dB."""
    return arrays["psnr"][task, METHODS.index(method)]


def mean_psnr(arrays: Arrays, task: int, method: str) -> float:
    """Mean over the images; of one sample over all samples."""
    singles = {SAMPLE: "singles", LINEAR_SAMPLE: "linear"}.get(method)
    if singles:
        return float(arrays[f"{singles}/psnr"][task].mean())
    return float(psnr_of(arrays, task, method).mean())


def averaging(arrays: Arrays, quantity: str, method: str) -> float:
    """PSNR of the mean of the samples above that of one, dB, over tasks and images."""
    means = arrays["psnr"][:, METHODS.index(method)]
    return float((means - arrays[f"{quantity}/psnr"].mean(-1)).mean())


def check(
    arrays: Arrays,
    *,
    gain: Mapping[str, float] | None = None,
    averaging_gain: Limit = None,
    over_wiener: Limit = None,
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      gain: task -> mark for the PSNR of one sample above that of the pseudo-inverse, dB.
      averaging_gain: mark for that of the mean of the samples above one sample, over all tasks, dB.
      over_wiener: mark for that of the mean of the samples above the best linear answer, over all tasks, dB.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    marks, checks = gain or {}, []
    tasks = [str(name) for name in arrays["tasks"]]
    for t, task in enumerate(tasks):
        start = mean_psnr(arrays, t, PSEUDO)
        above = lambda method, t=t, start=start: mean_psnr(arrays, t, method) - start
        singles = arrays["singles/psnr"][t] - psnr_of(arrays, t, PSEUDO)[:, None]
        one = Estimate(above(SAMPLE), low=float(singles.min()), high=float(singles.max()))
        nulls: dict[str, Number] = {"linear denoiser": float(arrays["linear/psnr"][t].mean()) - start}
        mark = AtLeast(marks.get(task))
        checks += [
            Check(f"{task}: one sample above the pseudo-inverse, dB", "> 0", one, mark, nulls),
            Check(f"{task}: PSNR, dB", None, {method: mean_psnr(arrays, t, method) for method in METHODS}),
            Check(f"{task}: SSIM", None, dict(zip(METHODS, arrays["ssim"][t].mean(1).tolist(), strict=True))),
            Check(
                f"{task}: spread of one sample's PSNR, dB", None, float(arrays["singles/psnr"][t].std(1, ddof=1).mean())
            ),
        ]
    over_all = lambda method: float(np.mean([mean_psnr(arrays, t, method) for t in range(len(tasks))]))
    wiener = lambda method: over_all(method) - over_all(WIENER)
    return [
        *checks,
        Check(
            "mean of the samples above one sample, dB",
            "1 to 2 in the publication",
            averaging(arrays, "singles", MEAN),
            AtLeast(averaging_gain),
            {"linear denoiser": averaging(arrays, "linear", LINEAR_MEAN)},
        ),
        Check(
            "mean of the samples above the best linear answer, dB",
            "> 0",
            wiener(MEAN),
            AtLeast(over_wiener),
            {"linear denoiser": wiener(LINEAR_MEAN)},
        ),
        *(
            Check(
                f"{method} above the best linear answer, dB",
                None,
                wiener(method),
                None,
                {"linear denoiser": wiener(linear)},
            )
            for method, linear in ((PLUG, LINEAR_PLUG), (GUIDED, LINEAR_GUIDED))
        ),
        Check("samples that diverged", 0, float(arrays["diverged"].sum())),
    ]
