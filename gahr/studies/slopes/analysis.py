"""The analysis of `gahr.studies.slopes`: PSNR curves of networks and of their nulls."""

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from gahr import metrics, noise
from gahr.analysis import identities, performance
from gahr.denoiser import at
from gahr.studies.shared.measures import counter, curve_of_told, probed_moments, trained_levels
from gahr.studies.shared.nulls import linear, null_denoisers
from gahr.studies.shared.options import input_levels, require_least
from gahr.studies.shared.study import Arrays, Runs
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_SHOWN_DB = 20.0  # input PSNR of the images drawn
_NUM_SHOWN = 4


def analyze(
    *,
    num_images: int = 256,
    wiener_images: int = 20_000,
    lowest_db: float = 0.0,
    highest_db: float = 34.0,
    num_levels: int = 18,
    fit_between: tuple[float, float] = (20.0, 34.0),
    num_probe_images: int = 64,
    num_probes: int = 4,
) -> Callable:
    """Curves of every run and its nulls, identity slopes and a few denoised images.

    Args:
      num_images: test images, and training images, per curve.
      wiener_images: training images that the linear denoiser is fitted on, at most.
      lowest_db, highest_db, num_levels: input PSNRs, dB, equally spaced; those of less noise than the networks were
        trained with are left out.
      fit_between: input PSNRs of the slope fit, dB.
      num_probe_images, num_probes: test images and random probes for the identity slope.

    Returns:
      Function (runs, key, *, progress, sharding=None) -> arrays named "RUN/quantity", in the order of the runs:
      test/WHO and train/WHO, PSNR (N, S) of "network" and of nulls, where "linear" is at each level the better one, in
      the mean, of the best denoisers with and without a mean image.

    Raises:
      ValueError: too few images, levels or probes, or too few levels in `fit_between`.
    """
    asked = input_levels(lowest_db, highest_db, num_levels, fit_between=fit_between)
    require_least(num_images=(num_images, 2), num_probe_images=(num_probe_images, 1), num_probes=(num_probes, 1))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        levels = trained_levels(runs, asked)
        sigmas = metrics.sigma_of_input_psnr(levels)
        probe_key = jax.random.fold_in(key, 2**32 - 1)  # no image has this number
        probing = dict(num_probes=num_probes, sharding=sharding)
        arrays: dict[str, Any] = {"input_psnr": levels, "fit_between": fit_between, "runs": list(runs)}
        arrays["kinds"] = [run.variant or name for name, run in runs.items()]
        advance = counter(progress, len(runs) * (2 + len(levels)))
        for name, run in runs.items():
            clean = {"test": run.images("test", num_images), "train": run.images(run.subset, num_images)}
            nulls = null_denoisers(run, num_fit=wiener_images, memorized=num_images)
            nulls["affine"] = linear(run.images(run.subset, wiener_images), centred=True)
            found = {"alpha": run.data["alpha"], "background_alpha": _background_alpha(run.data), "passes": run.passes}
            for subset, images in clean.items():
                for who, noise_denoiser in {"network": run.noise_denoiser, **nulls}.items():
                    if subset == "test" or who != "untrained":
                        curve = curve_of_told(noise_denoiser, key, images, sigmas, sharding=sharding)
                        found[f"{subset}/{who}"] = np.asarray(curve)
                advance(f"{name}: {subset} images")
            better = found["test/affine"].mean(0) > found["test/linear"].mean(0)  # at each level
            for subset in clean:
                found[f"{subset}/linear"] = np.where(better, found.pop(f"{subset}/affine"), found[f"{subset}/linear"])
            found["identity"] = []
            for sigma in sigmas:
                noisy = noise.add_noise(key, clean["test"][:num_probe_images], sigma)
                moments = probed_moments(at(run.noise_denoiser, sigma), probe_key, noisy, **probing)
                found["identity"].append(moments.slope())
                advance(f"{name}: Jacobian probes")
            mse = 10 ** (-found["test/network"].T / 10)
            found["mse_slope"] = identities.mse_slope(mse, sigmas=sigmas)[:, 0]  # not the slope of the mean PSNR
            for who in ("network", *nulls):
                if who != "affine":
                    found[f"slope/{who}"] = performance.local_slope(levels, found[f"test/{who}"])
            found |= _examples(run.noise_denoiser, nulls["linear"], key, clean["test"][:_NUM_SHOWN])
            arrays |= {f"{name}/{quantity}": value for quantity, value in found.items()}
        return {name: np.asarray(value) for name, value in arrays.items()}

    return analysis


def _background_alpha(data: Mapping[str, Any]) -> float:
    return data["alpha"] if data.get("background_alpha") is None else data["background_alpha"]


@jax.jit
def _examples(noise_denoiser: NoiseDenoiser, linear: NoiseDenoiser, key: Key, clean: Array) -> dict[str, Array]:
    """Images to show, and the departures from D(c y) = c D(y) and D(y) = J(y) y on them."""
    sigma = metrics.sigma_of_input_psnr(_SHOWN_DB)
    denoiser, noisy = at(noise_denoiser, sigma), noise.add_noise(key, clean, sigma)
    return {
        "shown_clean": clean,
        "shown_noisy": noisy,
        "shown_linear": linear(noisy, sigma),
        "shown_network": denoiser(noisy),
        "homogeneity_error": identities.homogeneity_error(denoiser, noisy),
        "linearity_error": identities.linearity_error(denoiser, noisy),
    }
