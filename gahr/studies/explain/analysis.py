"""The analysis of `gahr.studies.explain`: distances of denoisers to networks, in outputs and in samples."""

import functools
from collections.abc import Callable, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.classical import patches, shrinkage, spectra, transforms
from gahr.classical.analytic import fit_gaussian
from gahr.denoiser import as_argument, at
from gahr.names import require
from gahr.sampling import driver, euler, schedules
from gahr.sampling.sampler import Sampler
from gahr.sampling.start import factor_of
from gahr.studies.shared.families import families, family_arrays
from gahr.studies.shared.measures import counter, denoise, whole_jacobian
from gahr.studies.shared.nulls import linear, null_denoisers
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, Run, Runs
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

LINEAR, TWIN, SWAPPED = "linear", "twin network", "Jacobian at another image"
OTHERS = "memorizer of other images"
PRIORS = (  # what is known beforehand, and needs no training
    "memorizer",
    LINEAR,
    "linear, with a mean",
    "linear, all places alike",
    "linear, windows",
    "patches of the place",
    "patches of any place",
    "patches a filter sees",
    "wavelets, 8 shifts",
    "3x3 filter",
    "identity",
)
_NUM_TEST = 1024  # images whose covariance samples start with
SUBJECTS = ("network", "memorizer", "3x3 filter", "identity", "untrained")  # that are explained; all but one are nulls


def analyze(
    *,
    num_images: int = 16,
    num_held: int = 8,
    num_swapped: int = 3,
    num_samples: int = 16,
    num_shown: int = 3,
    windows: Sequence[int] = (3, 5, 7, 11),
    num_moved: int = 32,
    sigmas: Sequence[float] = (0.03, 0.1, 0.2, 0.4, 0.8),
    num_steps: int = 24,
    levels: int = 1,
) -> Callable:
    """Networks of the subset a of each N, explained by priors of the same images and by their twins.

    Args:
      num_images: n, test images that outputs are compared on.
      num_held: others, on which the window of each prior is chosen, at each level.
      num_swapped: of the images, those at which the whole Jacobian is taken.
      num_samples: that are drawn with each denoiser, from the same starts.
      num_shown: of them, drawn in the figure.
      windows: sides of windows to choose from, odd, pixels; larger ones than an image are left out.
      num_moved: training images whose windows are known at all places, at most.
      sigmas: increasing noise levels, image units; the samples go from the highest to the lowest.
      num_steps: of the samples.
      levels: of the wavelets.

    Returns:
      Function (runs with both subsets of each N, key, *, progress, sharding=None) -> those of `families`, sigmas (S,)
      and arrays named "FAMILY/quantity": set_sizes (K,); for each of `SUBJECTS` and predictors of it, "SUBJECT/NAME"
      (K, S, n), mean squared difference of their outputs; correlation/NAME (K, S, n), of what the network and the
      predictor add to the linear denoiser; window/NAME (K, S); samples/NAME (K, n'), squared difference of samples;
      of the last family images to draw.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(num_images=(num_images, 2), num_held=(num_held, 1), num_samples=(num_samples, 2))
    require_least(num_swapped=(num_swapped, 2), num_moved=(num_moved, 1), num_steps=(num_steps, 2))
    require(num_swapped <= num_images, "num_swapped", num_swapped, f"at most num_images, {num_images}")
    require(len(sigmas) > 1 and all(np.diff([0, *sigmas]) > 0), "sigmas", tuple(sigmas), "two positive, increasing")
    require(len(windows) > 0, "windows", tuple(windows), "at least one side")

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        found, arrays = families(runs)
        arrays["sigmas"] = np.array(sigmas)
        advance = counter(progress, len(runs) // 2 * (len(sigmas) + len(PRIORS) + 4))
        for family, pairs in found.items():
            rows, is_last = [], family == list(found)[-1]
            for number, pair in pairs.items():
                note = f"{family}, N = {number:,}"
                test = pair[0].images("test", num_images + num_held)
                near = [side for side in windows if side <= min(test.shape[1:3])]
                nulls = [null_denoisers(run, memorized=run.set_size) for run in pair]
                predictors = _predictors(pair, nulls, near, num_moved, levels)
                both = [{"network": run.noise_denoiser} | null for run, null in zip(pair, nulls, strict=True)]
                subjects = {who: (both[0][who], both[1][who]) for who in SUBJECTS if who in both[0]}
                row, windows_of = _outputs(subjects, predictors, test, num_held, key, sigmas, lambda: advance(note))  # noqa: B023
                swapped = _swapped(pair[0].noise_denoiser, test[:num_swapped], key, sigmas, progress, sharding)
                row |= {f"network/{SWAPPED}": swapped}
                advance(note)
                fixed = {name: choices[windows_of[name]] for name, choices in predictors.items()}
                shape = (num_samples, *test.shape[1:])
                sampler = _sampler(pair[0], sigmas, num_steps)
                drawn = {}
                for name, denoiser in {"network": pair[0].noise_denoiser, **fixed}.items():
                    how = dict(progress=progress, note=f"{note}: {name}", sharding=sharding)
                    drawn[name], _ = driver.sample(sampler, denoiser, key, shape, **how)
                    advance(note)
                row |= {f"samples/{name}": metrics.mse(drawn["network"], each) for name, each in drawn.items()}
                rows.append(row)
                if is_last:
                    arrays |= {f"shown/{number}/{name}": each[:num_shown] for name, each in drawn.items()}
            arrays |= family_arrays(family, list(pairs), rows)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _predictors(
    pair: tuple[Run, Run],
    both_nulls: Sequence[Mapping[str, NoiseDenoiser]],
    windows: Sequence[int],
    num_moved: int,
    levels: int,
) -> dict[str, dict[int, NoiseDenoiser]]:
    """Denoisers by name and window, 0 where they have none, fitted to the training images of the first network."""
    (run, twin), (nulls, of_others) = pair, both_nulls
    own = run.images(run.subset, run.set_size)
    alone = {
        LINEAR: nulls[LINEAR],
        TWIN: twin.noise_denoiser,
        "memorizer": nulls["memorizer"],
        OTHERS: of_others["memorizer"],
        "linear, with a mean": linear(own, centred=True),
        "linear, all places alike": shrinkage.wiener(
            transforms.fourier(), spectra.stationary_spectrum(own), mean=jnp.full(own.shape[1:], own.mean())
        ),
        "patches a filter sees": patches.pca_local(own, *_fit(own, centred=True)),
        "wavelets, 8 shifts": shrinkage.cycle_spin(shrinkage.hard(transforms.wavelets(levels=levels))),
        "3x3 filter": nulls["3x3 filter"],
        "identity": nulls["identity"],
    }
    moment = _fit(own, centred=False)
    return {name: {0: each} for name, each in alone.items()} | {
        "linear, windows": {side: patches.linear(*moment, window=side) for side in windows},
        "patches of the place": {side: patches.local(own, window=side) for side in windows},
        "patches of any place": {
            side: patches.equivariant(own[:num_moved], window=side, borders="matched") for side in windows
        },
    }


@functools.partial(jax.jit, static_argnames="centred")
def _fit(images: Array, *, centred: bool) -> tuple[Array, Array]:
    """Eigenvalues and basis as the linear denoiser has them, so that a filter of windows differs in locality alone."""
    return fit_gaussian(images, centred=centred, hold_out=5)[1:]


def _outputs(
    subjects: Mapping[str, tuple[NoiseDenoiser, NoiseDenoiser]],
    predictors: Mapping[str, Mapping[int, NoiseDenoiser]],
    test: Array,
    num_held: int,
    key: Key,
    sigmas: Sequence[float],
    advance: Callable[[], None],
) -> tuple[dict[str, Array], dict[str, int]]:
    """Squared differences (S, n) of each subject and each predictor; and the window best at all levels together.

    A subject stands beside its twin, of the other images. The windows are chosen on images held out, by the distance to
    the network.
    """
    row: dict[str, list] = {}
    votes: dict[str, np.ndarray] = {name: np.zeros(len(choices)) for name, choices in predictors.items()}
    for sigma in sigmas:
        noisy = noise.add_noise(key, test, sigma)
        of = lambda denoiser, noisy=noisy, sigma=sigma: denoise(as_argument(denoiser), noisy, jnp.float32(sigma))
        targets = {name: tuple(map(of, both)) for name, both in subjects.items()}
        network, filtered = targets["network"][0], of(predictors[LINEAR][0])
        for name, choices in predictors.items():
            outputs = [of(denoiser) for denoiser in choices.values()]
            held = [float(metrics.mse(network, each)[-num_held:].mean()) for each in outputs]
            votes[name] += np.log(np.maximum(held, 1e-12))
            best = int(np.argmin(held))
            row.setdefault(f"window/{name}", []).append(jnp.asarray(list(choices)[best]))
            alike = metrics.cosine_similarity(network - filtered, outputs[best] - filtered, centred=False)
            row.setdefault(f"correlation/{name}", []).append(alike[:-num_held])
            for subject, (target, twin) in targets.items():
                other = twin if name == TWIN else outputs[best]
                row.setdefault(f"{subject}/{name}", []).append(metrics.mse(target, other)[:-num_held])
        advance()
    chosen = {name: list(predictors[name])[int(np.argmin(total))] for name, total in votes.items()}
    return {name: jnp.stack(values) for name, values in row.items()}, chosen


def _swapped(
    network: NoiseDenoiser,
    clean: Array,
    key: Key,
    sigmas: Sequence[float],
    progress: Progress,
    sharding: Sharding | None,
) -> Array:
    """Squared difference (S, n') of D(y_i) and J_j y_i, mean over the images j that are not i."""
    found = []
    for sigma in sigmas:
        noisy, denoiser = noise.add_noise(key, clean, sigma), at(network, sigma)
        matrices = jnp.stack([whole_jacobian(denoiser, each, progress, sharding=sharding) for each in noisy])
        found.append(_off_diagonal(matrices, noisy, denoise(as_argument(network), noisy, jnp.float32(sigma))))
    return jnp.stack(found)


@jax.jit
def _off_diagonal(matrices: Array, noisy: Array, denoised: Array) -> Array:
    with jax.default_matmul_precision("highest"):
        outputs = jnp.einsum("jpq,iq->ijp", matrices, noisy.reshape(len(noisy), -1))
    square = jnp.mean((outputs - denoised.reshape(len(noisy), 1, -1)) ** 2, -1)
    others = 1 - jnp.eye(len(noisy))
    return jnp.sum(square * others, 1) / others.sum(1)


def _sampler(run: Run, sigmas: Sequence[float], num_steps: int) -> Sampler:
    """The flow from Gaussian images of the test images' covariance, in noise of the highest level, to the lowest."""
    mean, values, basis = _centred(run.images("test", _NUM_TEST))
    falling = schedules.geometric(sigma_max=max(sigmas), sigma_min=min(sigmas), num_levels=num_steps, zero=True)
    return euler.sampler(sigmas=falling, mean=mean, factor=factor_of(values, basis))


_centred = jax.jit(fit_gaussian)
