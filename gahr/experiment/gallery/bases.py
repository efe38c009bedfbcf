"""The bases of a study as small pictures and curves, for the viewer."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from gahr.experiment import pictures
from gahr.experiment.gallery.embed import encoded

WIDTH, HEIGHT, MARGIN = 360, 180, 34  # of a plot, in its own units
FLOOR = 1e-4  # least share of energy that is drawn
_POINTS = 80  # of a curve, at most
KINDS = {"left": "left singular vector", "right": "right singular vector", "eigen": "eigenvector, symmetric part"}


class At(NamedTuple):
    """The basis at one image. Pictures are data URIs, curves the points of an SVG polyline."""

    vectors: dict[str, list[str]]  # kind -> picture of each vector that is shown
    singular: list[float]  # singular value of each
    eigen: list[float]  # eigenvalue of the symmetric part of each
    beyond: list[list[float]]  # [energy of its own image beyond each, of the others in the mean]
    curves: dict[str, str]  # singular, eigen, own, others
    projection: str  # the first image on the leading d / 16 left vectors


class Basis(NamedTuple):
    """The bases of a denoiser at some images, of which the first is shown."""

    name: str
    sigma: float
    numbers: list[int]  # of the vectors that are shown, from 1
    size: int  # d
    highest: float  # factor at the top of the plot
    places: list[float]  # horizontal places of the numbers in a plot
    images: dict[str, str]  # clean, noisy, denoised
    at: list[At]


def bases_of(arrays: Mapping[str, np.ndarray]) -> list[Basis]:
    """What the arrays of a study hold of bases: those with vectors "NAME/left_shown" (n, K, H, W, C)."""
    names = [name.removesuffix("/left_shown") for name in arrays if name.endswith("/left_shown")]
    return [_basis(arrays, name) for name in names if "/nulls/" not in name]


def _basis(arrays: Mapping[str, np.ndarray], name: str) -> Basis:
    get = lambda quantity: arrays[f"{name}/{quantity}"]
    values = {"singular": get("singular_values"), "eigen": get("shrinkage")}
    energies = {"own": get("coefficients") ** 2, "others": get("swapped_coefficients") ** 2}
    beyond = {who: 1 - np.cumsum(each, 1) / each.sum(1, keepdims=True) for who, each in energies.items()}
    shown, size = np.asarray(arrays["shown"]), values["singular"].shape[1]
    highest = max(1.0, float(max(each.max() for each in values.values())))
    kinds = [kind for kind in KINDS if f"{name}/{kind}_shown" in arrays]
    vectors, projections = {kind: get(f"{kind}_shown") for kind in kinds}, get("projection")

    def at(j: int) -> At:
        curves = {kind: _curve(each[j] / highest) for kind, each in values.items()}
        shares = {who: np.maximum(each[j], FLOOR) for who, each in beyond.items()}
        curves |= {who: _curve(1 - np.log10(share) / np.log10(FLOOR)) for who, share in shares.items()}
        return At(
            vectors={kind: [_vector(each) for each in found[j]] for kind, found in vectors.items()},
            singular=values["singular"][j, shown].tolist(),
            eigen=values["eigen"][j, shown].tolist(),
            beyond=[each[j, shown].tolist() for each in beyond.values()],
            curves=curves,
            projection=_image(projections[j]),
        )

    return Basis(
        name=f"{arrays['name']}" if "name" in arrays else name,
        sigma=float(get("sigma")),
        numbers=(shown + 1).tolist(),
        size=size,
        highest=highest,
        places=_places(shown + 1, size).tolist(),
        images={kind: _image(get(kind)) for kind in ("clean", "noisy", "denoised")},
        at=[at(j) for j in range(len(values["singular"]))],
    )


def _places(numbers: np.ndarray, size: int) -> np.ndarray:
    """Logarithmic, number 1 at the left edge of a plot and number `size` at the right one."""
    return np.round(MARGIN + (WIDTH - 2 * MARGIN) * np.log(numbers) / np.log(size), 1)


def _curve(heights: np.ndarray) -> str:
    """Points of a curve of heights (d,), 0 at the bottom of a plot and 1 at the top."""
    numbers = np.unique(np.geomspace(1, len(heights), _POINTS).astype(int))
    tops = np.round(HEIGHT - MARGIN - (HEIGHT - 2 * MARGIN) * np.clip(heights[numbers - 1], -0.1, 1), 1)
    return " ".join(f"{x},{y}" for x, y in zip(_places(numbers, len(heights)), tops, strict=True))


def _vector(vector: np.ndarray) -> str:
    """Mean grey is 0."""
    return _image(0.5 + 0.5 * vector / np.abs(vector).max())


def _image(image: np.ndarray) -> str:
    return encoded(pictures.picture(image))
