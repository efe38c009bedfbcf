"""The identities of exact denoisers, for several denoisers side by side: how exact is a trained one?

Networks and two nulls, the linear denoiser and a smoothing filter, are held against them on the images given. The
linear one obeys them all: they say how exact a denoiser is among those of its kind, not how good. So that the numbers
mean something, two denoisers that are exact stand beside them, each on images drawn from its own prior: a Gaussian
fitted to the images, and a mixture of Gaussians fitted to their thirds by contrast. On the images of the Gaussian,
where the exact posterior mean is known, the KL integral says what a denoiser costs in nats.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr.analysis import identities
from gahr.classical.analytic import fit_gaussian, gaussian, mixture
from gahr.data import files
from gahr.denoiser import at, bind_told, blind
from gahr.models import published
from gahr.names import require
from gahr.studies.shared.measures import counter
from gahr.studies.shared.nulls import linear, smooth
from gahr.studies.shared.options import input_levels, require_files, require_least
from gahr.studies.shared.study import Arrays, Runs
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

LINEAR, FILTER, GAUSSIAN, MIXTURE, SHRUNK = (
    "linear",
    "smoothing filter",
    "Gaussian",
    "mixture",
    "Gaussian of half the contrast",
)
_COMPONENTS = 3
_SHRUNK_VARIANCE = 0.25  # half the contrast
_FINER = 4  # noise levels of the KL integral for each one of the card


class _Subject(NamedTuple):
    noise_denoiser: NoiseDenoiser
    clean: Array  # (N, H, W, C)
    exact: bool


def analyze(
    *,
    num_images: int = 64,
    num_fit: int = 20_000,
    lowest_db: float = 0.0,
    highest_db: float = 40.0,
    num_levels: int = 9,
    num_probes: int = 4,
    weights: str = "",
    image: str = "",
    size: int = 32,
) -> Callable:
    """The card of every denoiser, and KL integrals on the images of the Gaussian.

    Args:
      num_images: images per card.
      num_fit: images that the Gaussian and the mixture are fitted to, at most.
      lowest_db, highest_db, num_levels: input PSNRs, dB, equally spaced.
      num_probes: random probes per image.
      weights: files of published networks joined by "+" (`gahr.models.published.load`), instead of runs.
      image: image file whose crops are the images of published networks; a photograph where left out.
      size: side of the crops.

    Returns:
      Function (runs, key, *, progress, sharding=None) -> arrays, of networks trained on one kind of images, or of no
      runs where `weights` is given. It raises ValueError for a file that cannot be used, networks of different
      channels, or an image too small.

    Raises:
      ValueError: too few images, levels or probes, levels that do not rise, or a file that is not there.
    """
    require_files(weights=weights, image=image)
    require_least(num_images=(num_images, 2), num_fit=(num_fit, 2 * _COMPONENTS))
    require_least(num_probes=(num_probes, 1), size=(size, 4))
    require(lowest_db < highest_db, "lowest_db", lowest_db, f"below highest_db = {highest_db}")
    sigmas = 10 ** (-input_levels(lowest_db, highest_db, num_levels)[::-1] / 20)  # increasing

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        if weights:
            networks, channels = _published(weights.split("+"))
            file = Path(image) if image else files.photograph()
            clean, fitted = (
                jnp.asarray(files.crops(file, size=size, number=n, channels=channels)) for n in (num_images, num_fit)
            )
        else:
            networks = {name: run.noise_denoiser for name, run in runs.items()}
            run = next(iter(runs.values()))
            clean, fitted = run.images("test", num_images), run.images(run.subset, num_fit)
        image_key, noise_key, kl_key = jax.random.split(key, 3)
        subjects, normal_law = _subjects(networks, clean, fitted, image_key)
        advance = counter(progress, len(subjects) * (num_levels + 1))  # curves, and one KL integral each
        arrays: dict[str, Any] = {"names": list(subjects), "exact": [subject.exact for subject in subjects.values()]}
        arrays |= {"sigmas": sigmas, "shape": clean.shape[1:]}
        # all images at a time: XLA's CPU compiler makes convolutions fast outside of loops, and one of one turn is none
        options = dict(num_probes=num_probes, chunk=num_images, sharding=sharding)
        for name, subject in subjects.items():
            found = []
            for sigma in sigmas:
                denoiser = at(subject.noise_denoiser, sigma)
                found.append(_values(denoiser, noise_key, subject.clean, sigma=sigma, **options))
                advance(name)
            card = identities.card_of(jax.tree.map(lambda *each: jnp.stack(each), *found), sigmas=sigmas)
            arrays |= {f"{name}/{field}": value for field, value in card._asdict().items()}
        arrays |= _divergences(subjects, normal_law, kl_key, sigmas, advance)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _published(names: list[str]) -> tuple[dict[str, NoiseDenoiser], int]:
    """Networks from files by title, and the channels they all take; ValueError unless these are the same."""
    stems = [Path(name).stem for name in names]
    titles = stems if len(set(stems)) == len(stems) else names
    loaded = {title: published.load(Path(name)) for title, name in zip(titles, names, strict=True)}
    channels = {title: published.channels(variables) for title, (_, variables) in loaded.items()}
    if len(set(channels.values())) > 1:
        text = ", ".join(f"{title} {number}" for title, number in channels.items())
        raise ValueError(f"weights: the networks take images of different channels: {text}")
    return {title: bind_told(*network) for title, network in loaded.items()}, channels[titles[0]]


_values = jax.jit(identities.card_values, static_argnames=("num_probes", "chunk", "sharding"))
_kl = jax.jit(identities.kl_integral)


def _subjects(
    networks: Mapping[str, NoiseDenoiser], clean: Array, fitted: Array, key: Key
) -> tuple[dict[str, _Subject], tuple[Array, Array, Array]]:
    """Denoisers by name with their images, and the mean, eigenvalues and basis of the Gaussian."""
    subjects = {name: _Subject(denoiser, clean, False) for name, denoiser in networks.items()}
    subjects[LINEAR] = _Subject(linear(fitted), clean, False)
    subjects[FILTER] = _Subject(blind(smooth), clean, False)
    law = fit_gaussian(fitted)
    keys = jax.random.split(key)
    subjects[GAUSSIAN] = _Subject(gaussian(*law), _draw_images(keys[0], len(clean), [law]), True)
    by_contrast = jnp.argsort(fitted.std((1, 2, 3)))
    laws = [fit_gaussian(fitted[part]) for part in jnp.array_split(by_contrast, _COMPONENTS)]
    equal = jnp.full(_COMPONENTS, 1 / _COMPONENTS)
    exact = mixture(equal, *(jnp.stack(values) for values in zip(*laws, strict=True)))
    subjects[MIXTURE] = _Subject(exact, _draw_images(keys[1], len(clean), laws), True)
    return subjects, law


def _draw_images(key: Key, number: int, laws: list[tuple[Array, Array, Array]]) -> Array:
    """Images (N, H, W, C) of an equal mixture of Gaussians."""
    keys = jax.random.split(key, len(laws) + 1)
    drawn = []
    for law_key, (mean, eigenvalues, basis) in zip(keys, laws, strict=False):
        coefficients = jax.random.normal(law_key, (number, len(eigenvalues))) * jnp.sqrt(eigenvalues)[None]
        drawn.append(mean[None] + jnp.tensordot(coefficients, basis, 1))
    which = jax.random.randint(keys[-1], (number,), 0, len(laws))
    return jnp.stack(drawn)[which, jnp.arange(number)]


def _divergences(
    subjects: Mapping[str, _Subject],
    law: tuple[Array, Array, Array],
    key: Key,
    sigmas: np.ndarray,
    advance: Callable[[str], None],
) -> dict[str, Any]:
    """KL integrals between the Gaussian and what the other denoisers stand for, on images of the Gaussian.

    One more is exact for the same Gaussian with eigenvalues c l, for which the integral from a to b is known: noised
    laws have int_a^b E |D_q - D_p|^2 d sigma / sigma^3 = KL_a - KL_b, with
    KL_sigma = sum_k [(l + s) / (c l + s) - 1 - ln((l + s) / (c l + s))] / 2, s = sigma^2.
    """
    mean, eigenvalues, basis = law
    reference, clean, _ = subjects[GAUSSIAN]
    fine = np.geomspace(sigmas[0], sigmas[-1], _FINER * (len(sigmas) - 1) + 1)
    others = {name: subject.noise_denoiser for name, subject in subjects.items() if name != GAUSSIAN}
    others[SHRUNK] = gaussian(mean, _SHRUNK_VARIANCE * eigenvalues, basis)
    arrays: dict[str, Any] = {"kl/names": list(others), "kl/sigmas": fine}
    for name, noise_denoiser in others.items():
        found = _kl(noise_denoiser, reference, key, clean, sigmas=fine)
        arrays |= {f"kl/{name}/{field}": value for field, value in found._asdict().items()}
        advance("KL integral")
    noise, spectrum = (fine**2)[:, None], np.asarray(eigenvalues, np.float64)[None]
    shrunk = _SHRUNK_VARIANCE * spectrum
    ratio = (spectrum + noise) / (shrunk + noise)
    divergence = np.sum(ratio - 1 - np.log(ratio), 1) / 2  # at each level
    apart = spectrum / (spectrum + noise) - shrunk / (shrunk + noise)
    integrand = np.sum(apart**2 * (spectrum + noise) / noise, 1)
    return arrays | {"kl/theory": divergence[0] - divergence[-1], "kl/theory_integrand": integrand}
