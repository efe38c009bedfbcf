"""The analysis of `gahr.studies.link`: coefficients of images in bases, and curves."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.analysis import jacobian
from gahr.denoiser import as_argument, at
from gahr.studies.shared.local_basis import fixed_bases
from gahr.studies.shared.measures import counter, curve_of_told, whole_jacobian
from gahr.studies.shared.nulls import null_denoisers
from gahr.studies.shared.options import input_levels, require_least
from gahr.studies.shared.study import Arrays, Runs
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

NULLS = ("linear", "untrained")  # whose own bases are looked at
_NUM_NULL_BASES = 2  # images


def analyze(
    *,
    num_bases: int = 4,
    num_images: int = 64,
    num_fit: int = 20_000,
    lowest_db: float = 20.0,
    highest_db: float = 34.0,
    num_levels: int = 3,
) -> Callable:
    """Squared coefficients of test images in the bases of every network and of its nulls, and PSNR curves.

    Args:
      num_bases: n, images whose whole Jacobian is decomposed at every level, the first of the `num_images`.
      num_images: N, test images of the curves.
      num_fit: training images of the linear null and of the principal vectors, at most.
      lowest_db, highest_db, num_levels: L input PSNRs, dB, equally spaced.

    Returns:
      Function (runs on C^alpha images, key, *, progress, sharding=None) -> arrays "RUN/WHO/quantity" of the network and
      of nulls, which have 2 images: psnr (N, L); trace, |J|^2 square, asymmetry (L, n); left, eigen (L, n, n, d):
      <x_i, e_k>^2 in the basis at image j and level l as [l, i, j]. Besides "RUN/fixed/BASIS" (n, d).

    Raises:
      ValueError: too few images or levels.
    """
    levels = input_levels(lowest_db, highest_db, num_levels, fit_between=(lowest_db, highest_db))
    require_least(num_bases=(num_bases, 2), num_images=(num_images, num_bases), num_fit=(num_fit, 1))
    sigmas = metrics.sigma_of_input_psnr(levels)

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        arrays: dict[str, Any] = {"input_psnr": levels, "runs": list(runs)}
        advance = counter(progress, len(runs) * num_levels * (num_bases + _NUM_NULL_BASES * len(NULLS)))

        def energies(noise_denoiser: NoiseDenoiser, clean: Array, note: str) -> dict[str, Array]:
            found = []
            for sigma in sigmas:
                noisy, at_level = noise.add_noise(key, clean, sigma), []
                for image in noisy:
                    matrix = whole_jacobian(at(noise_denoiser, sigma), image, progress, sharding=sharding)
                    at_level.append(_energies(matrix, clean))
                    advance(note)
                found.append(jax.tree.map(lambda *each: jnp.stack(each), *at_level))
            stacked = jax.tree.map(lambda *each: jnp.stack(each), *found)
            return {name: jnp.swapaxes(each, 1, 2) if each.ndim == 4 else each for name, each in stacked.items()}

        for name, run in runs.items():
            clean, fitted = run.images("test", num_images), run.images(run.subset, num_fit)
            images, others = clean[:num_bases], null_denoisers(run, num_fit=num_fit)
            arrays |= {f"{name}/alpha": run.data["alpha"]}
            arrays |= {
                f"{name}/fixed/{basis}": _coefficients(vectors, images)
                for basis, vectors in fixed_bases(images.shape[1:], images=fitted).items()
            }
            subjects = {"network": run.noise_denoiser} | {who: others[who] for who in NULLS if who in others}
            for who, subject in subjects.items():
                number = num_bases if who == "network" else _NUM_NULL_BASES
                found = energies(subject, images[:number], f"{name}, {who}")
                found["psnr"] = curve_of_told(as_argument(subject), key, clean, sigmas, sharding=sharding)
                arrays |= {f"{name}/{who}/{quantity}": values for quantity, values in found.items()}
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


@jax.jit
def _coefficients(vectors: Array, images: Array) -> Array:
    """<x_i, e_k>^2, (n, d)."""
    with jax.default_matmul_precision("highest"):
        return (images.reshape(len(images), -1) @ vectors.reshape(len(vectors), -1).T) ** 2


@jax.jit
def _energies(matrix: Array, clean: Array) -> dict[str, Array]:
    """Of one Jacobian: squared coefficients of the images (n, d) in its bases, and its norms."""
    shape = clean.shape[1:]
    eigen, singular = (of(matrix, shape) for of in (jacobian.eigenbasis_of, jacobian.singular_basis_of))
    return {
        "left": _coefficients(singular.left, clean),
        "eigen": _coefficients(eigen.vectors, clean),
        "trace": jnp.trace(matrix),
        "square": jnp.sum(matrix**2),
        "asymmetry": eigen.asymmetry,
    }
