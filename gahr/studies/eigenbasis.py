"""The basis a denoiser shrinks in at one image: eigenvectors and singular vectors of its Jacobian.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 3: shrinkage factors and coefficients fall fast, and the leading
vectors oscillate along the image's contours and in its smooth regions, faster as the shrinkage factor falls. Trained
networks are not symmetric, so eigenvectors of the symmetric part and left singular vectors are shown side by side; and
so that they can be told from the vectors of a fixed filter, so is the image in another image's basis.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np

from gahr.analysis import geometry, jacobian
from gahr.data import files
from gahr.denoiser import bind_told
from gahr.models import published
from gahr.names import require_positive
from gahr.studies.shared.basis_figure import draw_coefficients, draw_dimensions
from gahr.studies.shared.images import draw_stages, draw_vector
from gahr.studies.shared.local_basis import basis_arrays, fixed_bases, spread, swap_checks
from gahr.studies.shared.nulls import null_denoisers
from gahr.studies.shared.options import require_files, require_least
from gahr.studies.shared.study import Arrays, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, NULLS, STYLE
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding, with_options

_LEADING = 10  # vectors that orientation is about
_TITLES = {"eigen": "eigenvectors", "left": "left singular vectors"}


class _Subject(NamedTuple):
    name: str
    noise_denoiser: NoiseDenoiser
    clean: Array  # (n, H, W, C)
    nulls: dict[str, NoiseDenoiser]
    fixed: dict[str, Array]


def analyze(
    *,
    sigma: float = 0.15,
    num_bases: int = 4,
    num_vectors: int = 12,
    last_vector: int = 121,
    num_fit: int = 20_000,
    num_memorized: int = 1_000,
    weights: str = "",
    image: str = "",
    size: int = 48,
) -> Callable:
    """Jacobians of one denoiser at some noisy images, decomposed both ways; the first is shown.

    Args:
      sigma: noise level, image units.
      num_bases: images whose bases are swapped, at most.
      num_vectors, last_vector: vectors to draw, equally spaced from number 0 to at most this one.
      num_fit, num_memorized: training images of the linear null and of the memorizer, at most; 0 for no memorizer.
      weights: file of a published network (`gahr.models.published.load`) instead of a run; it has no nulls.
      image: image files joined by "+" instead of test images; with `weights`, a photograph where left out. Of one alone
        its quarter turns are the others. Where they are as large as the training images, nulls are beside.
      size: side that an image file is resized to.

    Returns:
      Function (runs, key, *, progress, sharding=None) -> arrays, of one trained network, or of no runs where `weights`
      is given.

    Raises:
      ValueError: a file that is not there, a number too small, or a noise level that is not positive.
    """
    require_files(weights=weights, image=image)
    require_least(num_vectors=(num_vectors, 1), last_vector=(last_vector, 1), size=(size, 2), num_bases=(num_bases, 2))
    require_least(num_fit=(num_fit, 1), num_memorized=(num_memorized, 0))
    require_positive(sigma=sigma)

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        if weights:
            model, variables = published.load(Path(weights))
            names = image or str(files.photograph())
            clean = _images(names, size, channels=published.channels(variables))
            subject = _Subject(Path(weights).stem, bind_told(model, variables), clean, {}, fixed_bases(clean.shape[1:]))
        else:
            ((name, run),) = runs.items()
            training = run.images(run.subset, num_fit)
            clean = _images(image, size) if image else run.images("test", num_bases)
            known = clean.shape[1:] == training.shape[1:]  # nulls and principal vectors are of one size
            nulls = null_denoisers(run, num_fit=num_fit, memorized=num_memorized) if known else {}
            fixed = fixed_bases(clean.shape[1:], images=training if known else None)
            subject = _Subject(name, run.noise_denoiser, clean, nulls, fixed)
        size_of_all = subject.clean[0].size
        shown = np.unique(np.linspace(0, min(last_vector, size_of_all - 1), num_vectors).astype(int))
        found = basis_arrays(
            "network",
            subject.noise_denoiser,
            key,
            subject.clean[:num_bases],
            sigma=sigma,
            sigmas=jnp.array([sigma]),
            num_bases=num_bases,
            nulls=subject.nulls,
            fixed=subject.fixed,
            measure=with_options(_geometry, shown=shown),
            progress=progress,
            sharding=sharding,
        )
        arrays: dict[str, Any] = {"name": subject.name, "shown": shown} | found
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _images(names: str, size: int, *, channels: int = 1) -> Array:
    """Image files joined by "+", (n, size, size, channels); of one alone its four quarter turns."""
    found = [files.read_image(Path(name), size=size, channels=channels) for name in names.split("+")]
    return jnp.asarray(np.stack(found if len(found) > 1 else [np.rot90(found[0], turns) for turns in range(4)]))


def _geometry(
    eigen: jacobian.Eigenbasis, singular: jacobian.SingularBasis, clean: Array, *, shown: Array
) -> dict[str, Array]:
    """Arrays "KIND_quantity" of the two bases at one image."""
    found = {"right_shown": singular.right[shown]}
    for kind, vectors, values in (
        ("eigen", eigen.vectors, eigen.shrinkage),
        ("left", singular.left, singular.values),
    ):
        found |= {
            f"{kind}_shown": vectors[shown],
            f"{kind}_preserved": geometry.preserved_energy(vectors, values, clean),
            f"{kind}_frequency": geometry.mean_frequency(vectors),
            f"{kind}_orientation": geometry.orientation_agreement(vectors[:_LEADING], clean).mean(),
        }
    return found


def check(arrays: Arrays, *, swapped: Limit = None, contours: Limit = None) -> list[Check]:
    """Theory beside measurement, in the mean over images.

    Args:
      arrays: from `analyze`.
      swapped, contours: marks as `gahr.studies.shared.local_basis.swap_checks`.

    Returns:
      List of Check.
    """
    get = lambda quantity: arrays[f"network/{quantity}"]
    size, values = get("clean").size, {"eigen": "shrinkage", "left": "singular_values"}
    largest = {"eigenvalue": spread(get("shrinkage")[:, 0]), "singular value": spread(get("singular_values")[:, 0])}
    error = 10 ** (-get("psnr")[:, 0] / 10) * size / get("sigma") ** 2
    same = {"symmetric": 1, "chance": _LEADING / size}
    departure = np.linalg.norm(get("linear")[0] - get("denoised")) / np.linalg.norm(get("denoised"))
    checks = [
        Check("|J y - D(y)| / |D(y)|", {"bias-free": 0}, departure),
        Check("tr J", {"|x - D(y)|^2 / sigma^2": spread(error)}, spread(get("trace"))),
        Check("asymmetry |J - J^T| / |J|", {"exact MMSE": 0}, spread(get("asymmetry"))),
        Check("most negative eigenvalue", ">= 0, exact MMSE", spread(get("shrinkage")[:, -1])),
        Check("largest eigenvalue, singular value", "equal where symmetric", largest),
        Check(f"overlap of {_LEADING} leading eigen- and left singular vectors", same, spread(get("overlap"))),
    ]
    for kind, title in _TITLES.items():
        kept = (get(values[kind]) > 0.5).sum(1)
        checks += [
            Check(f"{title} above 1/2", None, spread(kept)),
            Check(
                f"share of |x|^2 in these {title}",
                {"all": 1, "chance": float(kept.mean()) / size},
                spread(get(f"{kind}_preserved")),
                nulls=_of_nulls(arrays, lambda prefix, kind=kind: arrays[f"{prefix}{kind}_preserved"]),
            ),
            Check(
                f"rank correlation of frequency and number, these {title}",
                {"Fourier": 1, "noise": 0},
                spread(_harmonicity(arrays, "network/", kind)),
                nulls=_of_nulls(arrays, lambda prefix, kind=kind: _harmonicity(arrays, prefix, kind)),
            ),
            Check(
                f"orientation, {_LEADING} leading {title}",
                {"across contours": 1, "along": -1, "noise": 0},
                spread(get(f"{kind}_orientation")),
                nulls=_of_nulls(arrays, lambda prefix, kind=kind: arrays[f"{prefix}{kind}_orientation"]),
            ),
        ]
    extent = {"a wave": 2 / 3, "noise": 1 / 3}
    checks.append(Check(f"participation ratio, these {_TITLES['left']}", extent, spread(get("participation"))))
    found = swap_checks(arrays, "network", swapped=swapped, contours=contours)
    return checks + [line._replace(name=line.name.removeprefix("network: ")) for line in found]


def _of_nulls(arrays: Arrays, measure: Callable[[str], np.ndarray]) -> dict[str, Any]:
    """What `measure` finds of the arrays under a prefix, for the nulls whose bases are known."""
    known = [who for who in NULLS if f"network/nulls/{who}/shrinkage" in arrays]
    return {who: spread(measure(f"network/nulls/{who}/")) for who in known}


def _harmonicity(arrays: Arrays, prefix: str, kind: str) -> np.ndarray:
    """Rank correlation (n,) of the mean frequency of a vector with its number, among those above 1/2, two at least."""
    values = arrays[prefix + {"eigen": "shrinkage", "left": "singular_values"}[kind]]
    found = []
    for frequency, kept in zip(arrays[f"{prefix}{kind}_frequency"], (values > 0.5).sum(1), strict=True):
        number = max(int(kept), 2)
        found.append(geometry.rank_correlation(jnp.asarray(frequency[:number]), jnp.arange(number)))
    return np.array(found)


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: images and the swap; decays and dimensions; and a row of vectors of each kind."""
    import matplotlib.pyplot as plt

    columns = (len(arrays["shown"]) + 1) // 2
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 9.4), layout="constrained")
        figure.suptitle(title or str(arrays["name"]))
        images, curves, eigen, left = figure.subfigures(4, 1, height_ratios=(0.8, 1.1, 1, 1))
        _draw_images(images, arrays)
        _draw_curves(curves.subplots(1, 3, width_ratios=(1, 1, 1.2)), arrays)
        _draw_vectors(eigen, arrays, "eigen", "shrinkage", "Eigenvectors of the symmetric part", columns)
        _draw_vectors(left, arrays, "left", "singular_values", "Left singular vectors", columns)
    return figure


def _draw_images(figure, arrays: Arrays) -> None:
    get = lambda quantity: arrays[f"network/{quantity}"]
    number = get("clean").size // 16
    stages = {kind: get(kind) for kind in ("clean", "noisy", "denoised")}
    stages |= {f"{number} own vectors": get("projection")[0], f"{number} of another": get("projection")[1]}
    draw_stages(figure.subplots(1, len(stages)), stages, rf"$\sigma$ = {get('sigma'):g}")


def _draw_curves(panels: np.ndarray, arrays: Arrays) -> None:
    factors, coefficients, dimensions = panels
    get = lambda quantity: arrays[f"network/{quantity}"]
    numbers = np.arange(1, get("clean").size + 1)
    factors.semilogx(numbers, get("shrinkage")[0], color=COLOURS[0], label="eigenvalues")
    factors.semilogx(numbers, get("singular_values")[0], "--", color=COLOURS[1], label="singular values")
    factors.axhline(0, color="grey", lw=0.6)
    factors.set(xlabel="number $k$", title="Shrinkage")
    factors.legend()
    draw_coefficients(
        coefficients,
        {
            "own eigenvectors": (get("eigen_coefficients")[0], dict(color=COLOURS[0])),
            "own left vectors": (get("coefficients")[0], dict(color=COLOURS[1], ls="--")),
            "others' left vectors": (get("swapped_coefficients").mean(0), dict(color=COLOURS[2], ls=":")),
        },
    )
    draw_dimensions(dimensions, arrays, ["network"])
    dimensions.tick_params(axis="x", labelrotation=30)


def _draw_vectors(figure, arrays: Arrays, kind: str, values: str, heading: str, columns: int) -> None:
    figure.suptitle(heading, fontsize=8)
    panels = figure.subplots(2, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    shown = zip(panels, arrays["shown"], arrays[f"network/{kind}_shown"][0], strict=False)
    for axes, k, vector in shown:
        draw_vector(axes, vector, f"{k + 1}: {arrays[f'network/{values}'][0][k]:.2f}", fontsize=7, pad=2)


STUDY = Study(analyze, check, draw)
