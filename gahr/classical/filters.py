"""Low-pass filters of orthogonal wavelets, by the names and in the order of PyWavelets' `dec_lo`.

Daubechies' filters and symlets are made by spectral factorisation: the squared amplitude ((2 + z + 1/z) / 4)^n
P((2 - z - 1/z) / 4), P(y) = sum_{k<n} C(n - 1 + k, k) y^k, has roots in pairs z, 1/z, of which a filter holds one each.
For "dbN" these are all outside of the unit circle; for "symN" the choice is that whose phase is nearest to linear.

Reference: Daubechies (1992), Ten Lectures on Wavelets, chapters 6 and 8.
"""

import math

import numpy as np

_INSIDE = {4: (0, 1), 5: (1, 0), 6: (1, 0, 1), 7: (1, 0, 0), 8: (0, 1, 0, 1)}  # pairs in the order of |y| -> inside


def _factor(number: int, inside: tuple[int, ...]) -> np.ndarray:
    """Filter (2 n,) with n vanishing moments."""
    roots = np.roots([math.comb(number - 1 + k, k) for k in reversed(range(number))])
    chosen = [-1.0] * number
    for y, is_inside in zip(sorted(roots[roots.imag > -1e-9], key=abs), inside, strict=True):
        z = 1 - 2 * y + np.sqrt((1 - 2 * y) ** 2 - 1 + 0j)
        z = 1 / z if (abs(z) < 1) != bool(is_inside) else z
        chosen += [z] if abs(y.imag) < 1e-9 else [z, z.conjugate()]
    filter_ = np.poly(chosen).real
    return filter_ * math.sqrt(2) / filter_.sum()


_COIFLETS = (
    (
        -0.01565572813579184,
        -0.07273261951252645,
        0.38486484686485745,
        0.8525720202116005,
        0.33789766245748193,
        -0.07273261951252644,
    ),
    (
        -0.0007205494455202862,
        -0.001823208870910506,
        0.0056114348193678845,
        0.023680171946846296,
        -0.05943441864642777,
        -0.07648859907827985,
        0.4170051844232345,
        0.8127236354494147,
        0.38611006682276566,
        -0.06737255472372732,
        -0.041464936786872346,
        0.01638733646320427,
    ),
    (
        -3.459977319671869e-05,
        -7.098330250644864e-05,
        0.0004662169598194695,
        0.0011175187708185976,
        -0.0025745176881197974,
        -0.009007976136670582,
        0.015880544863555685,
        0.03455502757319333,
        -0.08230192710599307,
        -0.0717998216191087,
        0.42848347637694145,
        0.7937772226261698,
        0.4051769024094494,
        -0.06112339000309973,
        -0.06577191128160441,
        0.02345269614214567,
        0.007782596425695437,
        -0.003793512864394418,
    ),
)

FILTERS = {  # sum 2^0.5, norm 1; dbN and symN are of length 2 N and have N vanishing moments, coifN 6 N and 2 N
    "haar": _factor(1, ()),
    **{f"db{n}": _factor(n, (0,) * (n // 2)) for n in range(2, 11)},
    **{f"sym{n}": _factor(n, inside) for n, inside in _INSIDE.items()},
    **{f"coif{n}": np.array(values) for n, values in enumerate(_COIFLETS, 1)},
}
