"""The identities of exact denoisers, for several denoisers side by side: how exact is a trained one?

Networks and a smoothing filter are held against them on the images given. So that the numbers mean something, two
denoisers that are exact stand beside them, each on images drawn from its own prior: a Gaussian fitted to the images,
and a mixture of Gaussians fitted to their thirds by contrast. On the images of the Gaussian, where the exact posterior
mean is known, the KL integral says what a denoiser costs in nats.
"""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gahr.analysis import identities
from gahr.classical.analytic import fit_gaussian, gaussian, mixture
from gahr.data import files
from gahr.denoiser import at, bind, blind
from gahr.models import published
from gahr.types import Progress
from gahr.studies.card.figure import draw
from gahr.studies.common import Check, Run, check_counts, check_files, counter
from gahr.types import Array, Key, NoiseDenoiser

__all__ = ["analyze", "check", "draw", "validate"]

FILTER, GAUSSIAN, MIXTURE, SHRUNK = "smoothing filter", "Gaussian", "mixture", "Gaussian of half the contrast"
_COMPONENTS = 3
_SHRUNK_VARIANCE = 0.25  # half the contrast
_FINER = 4  # noise levels of the KL integral for each one of the card
_SHOWN_DB = (10, 20, 30)  # input PSNRs whose values are in the table


class _Subject(NamedTuple):
    noise_denoiser: NoiseDenoiser
    clean: Array  # (N, H, W, C)
    exact: bool


def validate(analysis: Mapping[str, Any], marks: Mapping[str, Any]) -> None:
    """ValueError unless the options of `analyze` can be used."""
    del marks
    check_files(analysis, "weights", "image")
    check_counts(analysis, num_images=2, num_fit=2 * _COMPONENTS, num_levels=2, num_probes=1, size=4)
    if not analysis["lowest_db"] < analysis["highest_db"]:
        raise ValueError(
            f"study.analysis.lowest_db must be below highest_db = {analysis['highest_db']}, got {analysis['lowest_db']}"
        )


def analyze(
    runs: Mapping[str, Run],
    key: Key,
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
    progress: Progress,
) -> dict[str, np.ndarray]:
    """The card of every denoiser, and KL integrals on the images of the Gaussian.

    Args:
      runs: trained networks on one kind of images, or nothing where `weights` is given.
      key: random key of the images, the noise and the probes.
      num_images: images per card.
      num_fit: images that the Gaussian and the mixture are fitted to, at most.
      lowest_db, highest_db, num_levels: input PSNRs, dB, equally spaced.
      num_probes: random probes per image.
      weights: files of published networks joined by "+" (`gahr.models.published.load`), instead of runs.
      image: image file whose crops are the images of published networks; a photograph where left out.
      size: side of the crops.
      progress: shows the state and asks for stops.

    Returns:
      Arrays that `check` and `draw` need.

    Raises:
      ValueError: a file that cannot be used, networks of different channels, or an image too small.
    """
    if weights:
        names = weights.split("+")
        stems = [Path(name).stem for name in names]
        titles = stems if len(set(stems)) == len(stems) else names
        loaded = {title: published.load(Path(name)) for title, name in zip(titles, names, strict=True)}
        networks = {title: bind(*network) for title, network in loaded.items()}
        channels = _channels(loaded)
        file = Path(image) if image else files.photograph()
        clean, fitted = (
            jnp.asarray(files.crops(file, size=size, number=n, channels=channels)) for n in (num_images, num_fit)
        )
    else:
        networks = {name: run.denoiser for name, run in runs.items()}
        run = next(iter(runs.values()))
        clean, fitted = run.images("test", num_images), run.images(run.data["subset"], num_fit)
    levels = np.linspace(lowest_db, highest_db, num_levels)
    sigmas = 10 ** (-levels[::-1] / 20)  # increasing
    subjects, normal_law = _subjects(networks, clean, fitted, key)
    advance = counter(progress, len(subjects) * (num_levels + 1))  # curves, and one KL integral each
    arrays: dict[str, Any] = {"names": list(subjects), "exact": [subject.exact for subject in subjects.values()]}
    arrays |= {"networks": list(networks), "sigmas": sigmas, "shape": clean.shape[1:]}
    for name, subject in subjects.items():
        found = []
        for sigma in sigmas:
            found.append(_values(subject.noise_denoiser, key, subject.clean, sigma, num_probes=num_probes))
            advance(name)
        card = identities.card_of(jax.tree.map(lambda *each: jnp.stack(each), *found), sigmas=sigmas)
        arrays |= {f"{name}/{field}": value for field, value in card._asdict().items()}
    arrays |= _divergences(subjects, normal_law, key, sigmas, advance)
    return {quantity: np.asarray(value) for quantity, value in arrays.items()}


def _channels(networks: Mapping[str, tuple[Any, Any]]) -> int:
    """Channels of the images that networks (model, variables) take; ValueError unless they all take as many."""
    found = {title: published.channels(variables) for title, (_, variables) in networks.items()}
    if len(set(found.values())) > 1:
        text = ", ".join(f"{title} {number}" for title, number in found.items())
        raise ValueError(f"study.analysis.weights: the networks take images of different channels: {text}")
    return next(iter(found.values()))


@functools.partial(jax.jit, static_argnames="num_probes")
def _values(
    noise_denoiser: NoiseDenoiser, key: Key, clean: Array, sigma: Array, *, num_probes: int
) -> identities.CardValues:
    # all images at a time: a loop of one turn is none, and XLA's CPU compiler makes convolutions fast outside of loops
    return identities.card_values(
        at(noise_denoiser, sigma), key, clean, sigma=sigma, num_probes=num_probes, chunk=len(clean)
    )


@jax.jit
def _kl(
    noise_denoiser: NoiseDenoiser, reference: NoiseDenoiser, key: Key, clean: Array, sigmas: Array
) -> identities.KLIntegral:
    return identities.kl_integral(noise_denoiser, reference, key, clean, sigmas=sigmas)


def _subjects(
    networks: Mapping[str, Any], clean: Array, fitted: Array, key: Key
) -> tuple[dict[str, _Subject], tuple[Array, Array, Array]]:
    """Denoisers by name with their images, and the mean, eigenvalues and basis of the Gaussian."""
    subjects = {name: _Subject(blind(denoiser), clean, False) for name, denoiser in networks.items()}
    subjects[FILTER] = _Subject(blind(_smooth), clean, False)
    law = fit_gaussian(fitted)
    keys = jax.random.split(jax.random.fold_in(key, 1))
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


def _smooth(noisy: Array) -> Array:
    """Binomial 3 x 3 filter: (1, 2, 1) / 4 down and right; the border repeats."""
    for axis in (-3, -2):
        lead = [(0, 0)] * noisy.ndim
        lead[axis] = (1, 1)
        wide, side = jnp.pad(noisy, lead, mode="edge"), noisy.shape[axis]
        before, middle, after = (jax.lax.slice_in_dim(wide, i, i + side, axis=axis % noisy.ndim) for i in range(3))
        noisy = (before + 2 * middle + after) / 4
    return noisy


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
        found = _kl(noise_denoiser, reference, jax.random.fold_in(key, 2), clean, fine)
        arrays |= {f"kl/{name}/{field}": value for field, value in found._asdict().items()}
        advance("KL integral")
    spectrum = np.asarray(eigenvalues, np.float64)

    def divergence(sigma: float) -> float:
        ratio = (spectrum + sigma**2) / (_SHRUNK_VARIANCE * spectrum + sigma**2)
        return float(np.sum(ratio - 1 - np.log(ratio)) / 2)

    variances = (fine**2)[:, None]
    gains = [law / (law + variances) for law in (spectrum[None], _SHRUNK_VARIANCE * spectrum[None])]
    integrand = np.sum((gains[0] - gains[1]) ** 2 * (spectrum[None] + variances) / variances, 1)
    return arrays | {"kl/theory": divergence(fine[0]) - divergence(fine[-1]), "kl/theory_integrand": integrand}


def check(arrays: Mapping[str, np.ndarray], *, standard_errors: float | None = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      standard_errors: mark for the largest departure, over the noise levels, of what theory says is zero: mse d /
        sigma^2 - tr J of exact denoisers, SURE - mse of all, and the KL integral between two Gaussians from its
        known value.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    sigmas, checks = arrays["sigmas"], []
    for name, exact in zip(arrays["names"], arrays["exact"], strict=True):
        get = lambda field, name=name: arrays[f"{name}/{field}"]
        label, ideal = (f"{name}, exact", "{}") if exact else (str(name), "{} if exact")
        for at_level in sorted({int(np.argmin(np.abs(sigmas - 10 ** (-decibel / 20)))) for decibel in _SHOWN_DB}):
            mse, trace = get("mse")[at_level], get("trace")[at_level]
            checks.append(
                Check(
                    f"{label}: tr J, sigma = {sigmas[at_level]:.3g}",
                    ideal.format(f"mse d / sigma^2 = {mse[0]:.4g} +- {mse[1]:.1g}"),
                    f"{trace[0]:.4g} +- {trace[1]:.1g}",
                )
            )
        checks += [
            _departure(
                f"{label}: |mse d / sigma^2 - tr J|, largest over sigma",
                get("excess"),
                standard_errors if exact else None,
                theory=ideal.format("0"),
            ),
            _departure(f"{label}: |SURE - mse| d / sigma^2", get("sure_error"), standard_errors, theory="0"),
            Check(
                f"{label}: |J|^2 / tr J",
                ideal.format(f"PSNR slope of the mean mse {_range(get('measured_slope')[:, 0])}"),
                _range(get("slope")[:, 0]),
            ),
        ]
        for field, text, theory in (
            ("asymmetry", "|J - J^T| / |J|", ideal.format("0")),
            ("homogeneity_error", "|D(cy) - c D(y)| / |c D(y)|", "0 if bias-free"),
            ("linearity_error", "|J y - D(y)| / |D(y)|", "0 if bias-free"),
        ):
            values = get(field)[:, 0]
            checks.append(Check(f"{label}: {text}", theory, f"{values.min():.1e} to {values.max():.1e}"))
    return checks + _kl_checks(arrays, standard_errors)


def _kl_checks(arrays: Mapping[str, np.ndarray], standard_errors: float | None) -> list[Check]:
    fine, checks = arrays["kl/sigmas"], []
    for name in arrays["kl/names"]:
        kl, error, below, prior = (
            float(arrays[f"kl/{name}/{field}"]) for field in ("kl", "standard_error", "below", "prior")
        )
        theory, verdict = ("0 if exact for the Gaussian", ())
        if name == SHRUNK:
            theory, distance = f"{arrays['kl/theory']:.4g}", abs(kl - arrays["kl/theory"])
            if standard_errors is not None:
                verdict = (f"within {standard_errors:g} errors", bool(distance <= standard_errors * error))
        tails = f"below {f'{below:.2g}' if np.isfinite(below) else 'unknown, no fall'}"
        start = f"start from N(0, {fine[-1]:.2g}^2 I) at most {prior:.2g} more"
        checks.append(
            Check(
                f"KL(Gaussian images, {name}), nats, sigma {fine[0]:.2g} to {fine[-1]:.2g}",
                theory,
                f"{kl:.4g} +- {error:.1g}; {tails}; {start}",
                *verdict,
            )
        )
    return checks


def _departure(name: str, values: np.ndarray, mark: float | None, *, theory: str) -> Check:
    """The largest |mean| in standard errors, over the levels, of values (S, 2)."""
    errors = np.abs(values[:, 0]) / values[:, 1]
    worst = int(np.argmax(errors))
    text = f"{abs(values[worst, 0]):.3g}, {errors[worst]:.1f} standard errors"
    return Check(name, theory, text, *(() if mark is None else (f"<= {mark:g} errors", bool(errors[worst] <= mark))))


def _range(values: np.ndarray) -> str:
    return f"{values.min():.2f} to {values.max():.2f}"
