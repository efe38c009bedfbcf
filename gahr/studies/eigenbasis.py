"""The basis a denoiser shrinks in at one image: eigenvectors and singular vectors of its Jacobian.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 3: shrinkage factors and coefficients fall fast, and the leading
vectors oscillate along the image's contours and in its smooth regions, faster as the shrinkage factor falls. Trained
networks are not symmetric, so eigenvectors of the symmetric part and left singular vectors are shown side by side.
"""

from collections.abc import Callable
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from gahr import noise
from gahr.analysis import geometry, jacobian
from gahr.data import files
from gahr.denoiser import at, bind_told
from gahr.models import published
from gahr.names import require_positive
from gahr.studies.shared.images import draw_stages, draw_vector
from gahr.studies.shared.local_basis import localisation
from gahr.studies.shared.measures import denoise, whole_jacobian
from gahr.studies.shared.options import require_files, require_least
from gahr.studies.shared.study import Arrays, AtLeast, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.types import Array, Key, Progress, Sharding

_LEADING = 10  # vectors that the checks of subspaces are about


def analyze(
    *,
    sigma: float = 0.15,
    num_vectors: int = 12,
    last_vector: int = 121,
    weights: str = "",
    image: str = "",
    size: int = 48,
) -> Callable:
    """Jacobian of one denoiser at one noisy image, decomposed both ways.

    Args:
      sigma: noise level, image units.
      num_vectors, last_vector: vectors to draw, equally spaced from number 0 to at most this one.
      weights: file of a published network (`gahr.models.published.load`) instead of a run.
      image: image file instead of a test image; with `weights`, a photograph where left out.
      size: side that an image file is resized to.

    Returns:
      Function (runs, key, *, progress, sharding=None) -> arrays, of one trained network, or of no runs where `weights`
      is given.

    Raises:
      ValueError: a file that is not there, a number below 1, or a noise level that is not positive.
    """
    require_files(weights=weights, image=image)
    require_least(num_vectors=(num_vectors, 1), last_vector=(last_vector, 1), size=(size, 2))
    require_positive(sigma=sigma)

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        if weights:
            model, variables = published.load(Path(weights))
            noise_denoiser, name = bind_told(model, variables), Path(weights).stem
            file, channels = Path(image) if image else files.photograph(), published.channels(variables)
            clean = jnp.asarray(files.read_image(file, size=size, channels=channels))
        else:
            ((name, run),) = runs.items()
            noise_denoiser = run.noise_denoiser
            clean = jnp.asarray(files.read_image(Path(image), size=size)) if image else run.images("test", 1)[0]
        noisy = noise.add_noise(key, clean, sigma)
        denoised, denoiser = denoise(noise_denoiser, noisy, sigma), at(noise_denoiser, sigma)
        matrix = whole_jacobian(denoiser, noisy, progress, note="Jacobian columns", sharding=sharding)
        progress.update("decomposing", 0, 2)
        eigen = jacobian.eigenbasis_of(matrix, clean.shape)
        progress.update("decomposing", 1, 2)
        progress.check()
        singular = jacobian.singular_basis_of(matrix, clean.shape)
        shown = np.unique(np.linspace(0, min(last_vector, len(matrix) - 1), num_vectors).astype(int))
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
            "shown": shown,
        }
        bases = {"eigen": (eigen.vectors, eigen.shrinkage), "singular": (singular.left, singular.values)}
        for kind, (vectors, values) in bases.items():
            found = _geometry(vectors, values, clean, jax.random.fold_in(key, 1)) | {"vectors": vectors[shown]}
            number = max(int(found["kept"]), 2)
            found["harmonicity"] = geometry.rank_correlation(found["frequency"][:number], jnp.arange(number))
            arrays |= {f"{kind}/{quantity}": value for quantity, value in found.items()}
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


@jax.jit
def _geometry(vectors: Array, values: Array, clean: Array, key: Key) -> dict[str, Array]:
    kept = jnp.sum(values > 0.5)
    preserved = jnp.arange(len(values)) < jnp.maximum(kept, 2)
    return {
        "coefficients": geometry.coefficients(vectors, clean),
        "preserved": geometry.preserved_energy(vectors, values, clean),
        "kept": kept,
        "frequency": geometry.mean_frequency(vectors),
        "orientation": geometry.orientation_agreement(vectors[:_LEADING], clean).mean(),
        **localisation(vectors, clean, key, where=preserved),
    }


def check(arrays: Arrays, *, preserved_energy: Limit = None, harmonicity: Limit = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      preserved_energy: mark for the share of |x|^2 in the span of eigenvectors with shrinkage above 1/2.
      harmonicity: mark for the rank correlation of an eigenvector's mean frequency with its number, among those.

    Returns:
      List of Check.
    """
    get = arrays.__getitem__
    size = get("clean").size
    largest = {"eigenvalue": get("shrinkage")[0], "singular value": get("singular_values")[0]}
    error = np.sum((get("clean") - get("denoised")) ** 2) / get("sigma") ** 2
    same = {"symmetric": 1, "chance": _LEADING / size}
    checks = [
        Check("|J y - D(y)| / |D(y)|", {"bias-free": 0}, get("linearity_error")),
        Check("tr J", {"|x - D(y)|^2 / sigma^2": error}, get("trace")),
        Check("asymmetry |J - J^T| / |J|", {"exact MMSE": 0}, get("asymmetry")),
        Check("most negative eigenvalue", ">= 0, exact MMSE", get("shrinkage")[-1]),
        Check("largest eigenvalue, singular value", "equal where symmetric", largest),
        Check(f"overlap of {_LEADING} leading eigen- and left singular vectors", same, get("overlap")),
    ]
    for kind, title, energy, rise in (
        ("eigen", "eigenvectors", preserved_energy, harmonicity),
        ("singular", "left singular vectors", None, None),
    ):
        of = lambda quantity, kind=kind: get(f"{kind}/{quantity}")
        above, share = f"{title} above 1/2", {"all": 1, "chance": of("kept") / size}
        frequency, shifted = {"Fourier": 1, "noise": 0}, {"shifted contours": of("contour_control")}
        across, extent = {"across contours": 1, "along": -1, "noise": 0}, {"a wave": 2 / 3, "noise": 1 / 3}
        checks += [
            Check(f"share of |x|^2 in the {of('kept')} {above}", share, of("preserved"), AtLeast(energy)),
            Check(f"rank correlation of frequency and number, {above}", frequency, of("harmonicity"), AtLeast(rise)),
            Check(f"energy on contours, the same {title}", shifted, of("contour")),
            Check(f"orientation, {_LEADING} leading {title}", across, of("orientation")),
            Check(f"participation ratio, the same {title}", extent, of("participation")),
        ]
    return checks


def draw(arrays: Arrays, *, title: str = ""):
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


def _draw_top(figure, arrays: Arrays) -> None:
    images, decay = figure.subfigures(1, 2, width_ratios=(1, 1.25))
    stages = {kind: arrays[kind] for kind in ("clean", "noisy", "denoised")}
    draw_stages(images.subplots(1, 3), stages, rf"$\sigma$ = {arrays['sigma']:g}")
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


STUDY = Study(analyze, check, draw)
