"""The basis a denoiser shrinks in at one image: eigenvectors and singular vectors of its Jacobian.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 3: shrinkage factors and coefficients fall fast, and the leading
vectors oscillate along the image's contours and in its smooth regions, faster as the shrinkage factor falls. Trained
networks are not symmetric, so eigenvectors of the symmetric part and left singular vectors are shown side by side.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import noise
from gahr.analysis import geometry, jacobian
from gahr.data import files
from gahr.denoiser import as_argument, bind
from gahr.models import published
from gahr.types import Progress
from gahr.studies.common import COLOURS, STYLE, Check, Run, at_least, check_counts, check_files, denoise, whole_jacobian
from gahr.studies.shared.local_basis import draw_stages, draw_vector, localisation
from gahr.types import Array, Key

_LEADING = 10  # vectors that the checks of subspaces are about


def validate(analysis: Mapping[str, Any], marks: Mapping[str, Any]) -> None:
    """ValueError unless the files that `analyze` is given are there."""
    del marks
    check_files(analysis, "weights", "image")
    check_counts(analysis, num_vectors=1, last_vector=1, size=2)


def analyze(
    runs: Mapping[str, Run],
    key: Key,
    *,
    sigma: float = 0.15,
    num_vectors: int = 12,
    last_vector: int = 121,
    weights: str = "",
    image: str = "",
    size: int = 48,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Jacobian of one denoiser at one noisy image, decomposed both ways.

    Args:
      runs: the trained network, or nothing where `weights` is given.
      key: random key of the noise.
      sigma: noise level, image units.
      num_vectors, last_vector: vectors to draw, equally spaced from number 0 to at most this one.
      weights: file of a published network (`gahr.models.published.load`) instead of a run.
      image: image file instead of a test image; with `weights`, a photograph where left out.
      size: side that an image file is resized to.
      progress: shows the state and asks for stops.

    Returns:
      Arrays that `check` and `draw` need.
    """
    if weights:
        model, variables = published.load(Path(weights))
        denoiser, name = bind(model, variables), Path(weights).stem
        file, channels = Path(image) if image else files.photograph(), published.channels(variables)
        clean = jnp.asarray(files.read_image(file, size=size, channels=channels))
    else:
        ((name, run),) = runs.items()
        denoiser = run.denoiser
        clean = jnp.asarray(files.read_image(Path(image), size=size)) if image else run.images("test", 1)[0]
    denoiser, noisy = as_argument(denoiser), noise.add_noise(key, clean, sigma)
    with jax.default_matmul_precision("highest"):
        denoised = denoise(denoiser, noisy)
        matrix = whole_jacobian(denoiser, noisy, progress, note="Jacobian columns")
        progress.update("decomposing", 0, 2)
        eigen = jacobian.eigenbasis_of(matrix, clean.shape)
        progress.update("decomposing", 1, 2)
        progress.check()
        singular = jacobian.singular_basis_of(matrix, clean.shape)
    arrays = {
        "name": name,
        "sigma": sigma,
        "clean": clean,
        "noisy": noisy,
        "denoised": denoised,
        "trace": jnp.trace(matrix),
        "linearity_error": jnp.linalg.norm(matrix @ noisy.ravel() - denoised.ravel()) / jnp.linalg.norm(denoised),
        "asymmetry": eigen.asymmetry,
        "shrinkage": eigen.shrinkage,
        "singular_values": singular.values,
        "overlap": geometry.overlap(eigen.vectors[:_LEADING], singular.left[:_LEADING]),
    }
    shown = np.unique(np.linspace(0, min(last_vector, len(matrix) - 1), num_vectors).astype(int))
    arrays["shown"] = shown
    for kind, vectors, values in (
        ("eigen", eigen.vectors, eigen.shrinkage),
        ("singular", singular.left, singular.values),
    ):
        found = _geometry(vectors, values, clean, jax.random.fold_in(key, 1))
        arrays |= {f"{kind}/{quantity}": value for quantity, value in found.items()}
        arrays[f"{kind}/vectors"] = vectors[shown]
    return {quantity: np.asarray(value) for quantity, value in arrays.items()}


def _geometry(vectors: Array, values: Array, clean: Array, key: Key) -> dict[str, Array]:
    kept = int(jnp.sum(values > 0.5))
    preserved = vectors[: max(kept, 2)]
    frequency = geometry.mean_frequency(preserved)
    leading = vectors[:_LEADING]
    return {
        "coefficients": geometry.coefficients(vectors, clean),
        "preserved": geometry.preserved_energy(vectors, values, clean),
        "kept": kept,
        "harmonicity": geometry.rank_correlation(frequency, jnp.arange(len(preserved))),
        "orientation": geometry.orientation_agreement(leading, clean).mean(),
        **localisation(preserved, clean, key),
    }


def check(
    arrays: Mapping[str, np.ndarray],
    *,
    preserved_energy: float | None = None,
    harmonicity: float | None = None,
) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      preserved_energy: mark for the share of |x|^2 in the span of eigenvectors with shrinkage above 1/2.
      harmonicity: mark for the rank correlation of an eigenvector's mean frequency with its number, among those.

    Returns:
      List of Check.
    """
    get = arrays.__getitem__
    error = float(np.sum((get("clean") - get("denoised")) ** 2) / get("sigma") ** 2)
    checks = [
        Check("|J y - D(y)| / |D(y)|", "0, bias-free", f"{get('linearity_error'):.1e}"),
        Check("tr J", f"|x - D(y)|^2 / sigma^2 = {error:.1f}", f"{get('trace'):.1f}"),
        Check("asymmetry |J - J^T| / |J|", "0, exact MMSE", f"{get('asymmetry'):.2f}"),
        Check("most negative eigenvalue", ">= 0, exact MMSE", f"{get('shrinkage')[-1]:.2f}"),
        Check(
            "largest eigenvalue, singular value",
            "equal where symmetric",
            f"{get('shrinkage')[0]:.2f}, {get('singular_values')[0]:.2f}",
        ),
        Check(
            f"overlap of {_LEADING} leading eigen- and left singular vectors",
            f"1; chance {_LEADING / get('clean').size:.3f}",
            f"{get('overlap'):.2f}",
        ),
    ]
    for kind, title in (("eigen", "eigenvectors"), ("singular", "left singular vectors")):
        kept, marks = int(get(f"{kind}/kept")), (preserved_energy, harmonicity) if kind == "eigen" else (None, None)
        checks += [
            Check(
                f"share of |x|^2 in the {kept} {title} above 1/2",
                f"1; chance {kept / get('clean').size:.2f}",
                f"{get(f'{kind}/preserved'):.2f}",
                *at_least(get(f"{kind}/preserved"), marks[0]),
            ),
            Check(
                f"rank correlation of frequency and number, {title} above 1/2",
                "1 Fourier, 0 noise",
                f"{get(f'{kind}/harmonicity'):.2f}",
                *at_least(get(f"{kind}/harmonicity"), marks[1]),
            ),
            Check(
                f"energy on contours, the same {title}",
                f"{get(f'{kind}/contour_control'):.2f} shifted contours",
                f"{get(f'{kind}/contour'):.2f}",
            ),
            Check(
                f"orientation, {_LEADING} leading {title}",
                "1 across contours, -1 along, 0 noise",
                f"{get(f'{kind}/orientation'):.2f}",
            ),
            Check(
                f"participation ratio, the same {title}",
                "0.67 a wave, 0.33 noise",
                f"{get(f'{kind}/participation'):.2f}",
            ),
        ]
    return checks


def draw(arrays: Mapping[str, np.ndarray], *, title: str = ""):
    """Figure: image, decay of factors and coefficients, and a row of vectors of each kind."""
    import matplotlib.pyplot as plt

    shown = arrays["shown"]
    columns = (len(shown) + 1) // 2
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 8.2), layout="constrained")
        figure.suptitle(title or str(arrays["name"]))
        above, eigen, singular = figure.subfigures(3, 1, height_ratios=(0.75, 1, 1))
        _draw_top(above, arrays)
        _draw_vectors(eigen, arrays, "eigen", "shrinkage", "Eigenvectors of the symmetric part", columns)
        _draw_vectors(singular, arrays, "singular", "singular_values", "Left singular vectors", columns)
    return figure


def _draw_top(figure, arrays: Mapping[str, np.ndarray]) -> None:
    images, decay = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    stages = {kind: arrays[kind] for kind in ("clean", "noisy", "denoised")}
    draw_stages(images, stages, float(arrays["sigma"]))
    factors, coefficients = decay.subplots(1, 2)
    numbers = np.arange(1, arrays["clean"].size + 1)
    factors.semilogx(numbers, arrays["shrinkage"], color=COLOURS[0], label="eigenvalues")
    factors.semilogx(numbers, arrays["singular_values"], "--", color=COLOURS[1], label="singular values")
    factors.axhline(0, color="grey", lw=0.6)
    factors.set(xlabel="number $k$", title="Shrinkage")
    factors.legend()
    values = np.abs(arrays["eigen/coefficients"])
    coefficients.loglog(numbers, values, ".", ms=2, color=COLOURS[0], label="eigenvectors")
    coefficients.axhline(float(arrays["sigma"]), color="black", ls=":", lw=1, label=r"$\sigma$")
    coefficients.set(xlabel="number $k$", title=r"Coefficients $|\langle x, e_k \rangle|$")
    coefficients.legend()


def _draw_vectors(figure, arrays, kind: str, values: str, heading: str, columns: int) -> None:
    figure.suptitle(heading, fontsize=8)
    panels = figure.subplots(2, columns, squeeze=False).ravel()
    for axes in panels:
        axes.set_axis_off()
    for axes, k, vector in zip(panels, arrays["shown"], arrays[f"{kind}/vectors"], strict=False):
        draw_vector(axes, vector, f"{k + 1}: {arrays[values][k]:.2f}", fontsize=7, pad=2)
