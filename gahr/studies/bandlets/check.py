"""What the study of bandlets says: theory beside measurement."""

import numpy as np

from gahr.studies.bandlets.analysis import FIELDS, LABELS, SHIFTS, best_gain, gain
from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Limit


def check(
    arrays: Arrays, *, coefficients: Limit = None, gain_of_shifts: Limit = None, gain_of_geometry: Limit = None
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      coefficients: mark for the coefficients of bandlets over those of wavelets at equal T, geometry included.
      gain_of_shifts: mark for what 8 shifts gain wavelets, dB, at the noise level that is drawn.
      gain_of_geometry: mark for what bandlets gain over wavelets then, both over 8 shifts and at their best threshold.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    at = int(np.argmin(abs(arrays["sigmas"] - arrays["shown"])))
    said = lambda name, other, prefix="": spread(gain(arrays, name, other, prefix=prefix)[:, at])
    null = lambda name, other: {FIELDS: said(name, other, f"{FIELDS}/")}
    (plain, shifts), end = SHIFTS, f", dB, at sigma = {float(arrays['shown']):g}"
    total = arrays["bandlets/number"] + arrays["bandlets/geometry"]
    number = dict(zip(arrays["thresholds"].tolist(), total.sum(0) / arrays["wavelets/number"].sum(0), strict=True))
    least = min(number, key=number.get)
    cost = float(np.max(arrays["bandlets/cost"] / arrays["wavelets/cost"]))
    checks = [
        Check("L of bandlets over that of wavelets, the largest", "at most 1", cost, AtMost(1.0)),
        Check(
            f"coefficients and geometry over coefficients of wavelets, T = {least:g}",
            "below 1",
            float(number[least]),
            AtMost(coefficients),
        ),
        Check(f"8 shifts over one, wavelets{end}", "above 0", said(plain, "wavelets"), AtLeast(gain_of_shifts)),
        Check(
            f"bandlets over wavelets{end}",
            "above 0",
            said("bandlets", "wavelets"),
            None,
            null("bandlets", "wavelets"),
        ),
        Check(
            f"the same, both over 8 shifts{end}",
            "above 0",
            said(shifts, plain),
            None,
            null(shifts, plain),
        ),
        Check(
            f"the same, each at its best threshold{end}",
            "above 0",
            spread(best_gain(arrays)),
            AtLeast(gain_of_geometry),
            {FIELDS: spread(best_gain(arrays, prefix=f"{FIELDS}/"))},
        ),
        Check(f"bandlets of the clean image over those of the noisy one{end}", "above 0", said("told", "bandlets")),
    ]
    networks = [str(name) for name in arrays["names"] if str(name) not in LABELS]
    return checks + [Check(f"{name} over bandlets, 8 shifts{end}", None, said(name, shifts)) for name in networks]
