"""The analysis of `gahr.studies.twins`: samples of pairs of networks, and the training images nearest to them."""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.analysis import eigen, generalization, geometry
from gahr.classical.analytic import fit_gaussian
from gahr.denoiser import as_argument
from gahr.names import pick, require_positive
from gahr.sampling import blind, driver
from gahr.studies.shared.families import families, family_arrays, nearest_size
from gahr.studies.shared.nulls import estimated, null_denoisers
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, Run, Runs
from gahr.types import Array, Denoiser, Key, Progress, Sharding

_NUM_SHOWN = 2  # pairs drawn per N
_NUM_COLLAGES = 4  # samples of network a drawn beside their collages
_NUM_FRAMES = 8  # of a pair that parts
_MOST_MEMORIZED = 1_000  # images that the memorizer samples from
_NUM_TEST = 1024  # images whose mean the samples may start about
_NUM_LEADING = 10  # singular vectors of a subspace
_STARTS = {
    "grey": lambda clean: 0.5,
    "mean": lambda clean: clean.mean(0),
}  # of the test images
BINS = np.linspace(0, 1, 41)  # of the histograms


def analyze(
    *,
    num_samples: int = 128,
    step_size: float = 0.01,
    beta: float = 0.1,
    growing: bool = False,
    sigma_stop: float = 0.05,
    max_steps: int = 5_000,
    frame_every: int = 10,
    patch: int = 4,
    start: str = "grey",
    num_bases: int = 4,
    sigma: float = 0.1,
) -> Callable:
    """Samples of every pair of networks, and of nulls, from the same noise, and the training images nearest to them.

    Args:
      num_samples: per network; the same keys at every N.
      step_size, beta, growing, sigma_stop, max_steps: of `gahr.sampling.blind.ascend`; samples are denoised at the
        end.
      frame_every: steps between the stored frames of the largest N.
      patch: side of the patches that are compared with training patches, pixels; divides the image side.
      start: "grey", the samples start about 0.5, or "mean", about the mean of the test images.
      num_bases, sigma: noisy test images at which the networks' leading left singular vectors are compared.

    Returns:
      Function (runs with both subsets of each N, key, *, progress, sharding=None) -> those of `families` and arrays
      named "FAMILY/quantity": set_sizes (K,), nearest (K, 2, S), twin (K, S); closest (K, 40), histogram over `BINS` of
      the similarity of closest pairs of the two sets (figure 6), and floor (K,), its median; subspaces (K, n), overlap
      of the twins' ten leading left singular vectors at one noisy image, subspaces_swapped (K, n), at two of them,
      subspaces_linear (K,), of the two sets' leading principal components; patches (K, 2), median similarity of patches
      of network a's samples to its own and to the other set; steps and diverged (K, 2, S); of the last family images to
      draw. It raises ValueError for networks that are told sigma, of which the sampler knows nothing.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_least(num_samples=(num_samples, 6), max_steps=(max_steps, 1), frame_every=(frame_every, 1))
    require_least(num_bases=(num_bases, 2))
    require_positive(sigma=sigma)
    mean_of = pick("start", _STARTS, start)
    sampler_about = functools.partial(
        blind.sampler, step_size=step_size, beta=beta, growing=growing, sigma_stop=sigma_stop
    )
    sampler_about()  # refuses options before any work

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        told = [name for name, run in runs.items() if run.denoiser is None]
        if told:
            raise ValueError(f"samples are drawn from networks that are not told sigma; told are {', '.join(told)}")
        found, arrays = families(runs)
        arrays["expected_steps"] = blind.expected_steps(1.0, sigma_stop, step_size, beta, growing=growing)
        for family, pairs in found.items():
            rows, shown, largest = [], family == list(found)[-1], max(pairs)
            test = pairs[largest][0].images("test", _NUM_TEST)
            shape, sampler = (num_samples, *test.shape[1:]), sampler_about(mean=mean_of(test))
            noisy = noise.add_noise(key, test[:num_bases], sigma)

            def draw(denoiser: Denoiser, note: str, frames: int = 0, *, how=(sampler, shape)) -> tuple:
                sampler, shape = how
                options = dict(max_steps=max_steps, frame_every=frames, final_denoise=True, sharding=sharding)
                return driver.sample(sampler, denoiser, key, shape, **options, progress=progress, note=note)

            of_nulls = _of_nulls(pairs[largest], draw, family)
            for number, pair in pairs.items():
                sets = [run.images(run.subset, number) for run in pair]
                frames = frame_every if shown and number == largest else 0
                note = f"{family}, N = {number:,}: samples"
                drawn = [draw(run.denoiser, f"{note} {run.subset}", frames) for run in pair]
                collages = [_collage(drawn[0][0], images, patch=patch) for images in sets]  # of its own and other set
                row, images = _compare(drawn, sets, collages)
                for who, samples in of_nulls.items():
                    row |= {f"{quantity}/{who}": value for quantity, value in _similarities(samples, sets).items()}
                row["chance"] = jnp.asarray(min(1, _NUM_LEADING / test[0].size))  # of two subspaces at random
                rows.append(row | _subspaces(pair, sets, key, noisy))
                progress.check()
                if shown and number == nearest_size(pairs):
                    arrays |= _collages(drawn[0][0], collages) | {"collage/set_size": number}
                if shown:
                    arrays |= {f"shown/{number}/{name}": value for name, value in images.items()}
                if frames:
                    arrays |= _parting(drawn, row["twin"], frames)
                    arrays |= {f"shown/null/{who}": samples[0][:_NUM_SHOWN] for who, samples in of_nulls.items()}
            arrays[f"{family}/kurtosis_of_images"] = _kurtosis(pairs[largest][0].images("test", num_samples))
            arrays |= family_arrays(family, list(pairs), rows)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _of_nulls(pair: tuple[Run, Run], draw: Callable, family: str) -> dict[str, list[Array]]:
    """Samples of the nulls of both networks of a pair, which read sigma off the image where they need it."""
    nulls = [null_denoisers(run, memorized=min(run.set_size, _MOST_MEMORIZED)) for run in pair]
    return {
        who: [
            draw(estimated(null[who]), f"{family}: {who} {run.subset}")[0]
            for null, run in zip(nulls, pair, strict=True)
        ]
        for who in nulls[0]
    }


def _similarities(samples: Sequence[Array], sets: Sequence[Array]) -> dict[str, Array]:
    """Of samples of two denoisers: nearest (2, S), twin (S,), kurtosis (2, S)."""
    near = [_nearest(one, images).similarity for one, images in zip(samples, sets, strict=True)]
    kurtosis = jnp.stack([_kurtosis(one) for one in samples])
    return {"nearest": jnp.stack(near), "twin": _cosine(*samples), "kurtosis": kurtosis}


def _compare(
    drawn: Sequence[tuple[Array, driver.Trace]], sets: Sequence[Array], collages: Sequence[generalization.Collage]
) -> tuple[dict[str, Array], dict[str, Array]]:
    """One row of the arrays of `analyze`, and images to draw."""
    samples, traces = zip(*drawn, strict=True)
    closest = _closest(*sets)
    row = _similarities(samples, sets) | {
        "floor": jnp.median(closest),
        "closest": jnp.histogram(jnp.clip(closest, 0, 1), BINS)[0] / len(closest),
        "patches": jnp.stack([jnp.median(each.similarity) for each in collages]),
        "steps": jnp.stack([trace.steps for trace in traces]),
        "diverged": jnp.stack([trace.diverged for trace in traces]),
    }
    images = {}
    for subset, one, training in zip("ab", samples, sets, strict=True):
        index = _nearest(one, training).index[:_NUM_SHOWN]
        images |= {f"sample_{subset}": one[:_NUM_SHOWN], f"nearest_{subset}": training[index]}
    return row, images


def _subspaces(pair: Sequence[Run], sets: Sequence[Array], key: Key, noisy: Array) -> dict[str, Array]:
    """Overlaps of what the two networks of a pair do most with, and of the principal components of their images."""
    count = min(_NUM_LEADING, noisy[0].size)
    left, right = (jnp.stack([_leading(as_argument(run.denoiser), y, key, count) for y in noisy]) for run in pair)
    others = jnp.roll(right, 1, 0)  # at another image
    rank = min(count, len(sets[0]))
    components = (fit_gaussian(images, centred=False)[2][:rank] for images in sets)
    return {
        "subspaces": jax.vmap(geometry.overlap)(left, right),
        "subspaces_swapped": jax.vmap(geometry.overlap)(left, others),
        "subspaces_linear": geometry.overlap(*components),
    }


@functools.partial(jax.jit, static_argnums=3)
def _leading(denoiser: Denoiser, noisy: Array, key: Key, count: int) -> Array:
    return eigen.top_singular_basis(denoiser, noisy, count, key=key).left


_kurtosis = jax.jit(metrics.edge_kurtosis)
_cosine = jax.jit(metrics.cosine_similarity)
_nearest = jax.jit(generalization.nearest)
_closest = jax.jit(generalization.closest_pairs)
_collage = jax.jit(generalization.patch_collage, static_argnames="patch")


def _collages(samples: Array, collages: Sequence[generalization.Collage]) -> dict[str, Array]:
    """Samples (n, H, W, C), their collages and the median similarities (n,) of the patches to own and other set."""
    first = slice(0, _NUM_COLLAGES)
    drawn = {"collage/sample": samples[first]}
    for kind, found in zip(("own", "other"), collages, strict=True):
        drawn[f"collage/{kind}"] = found.images[first]
        drawn[f"collage/{kind}_similarity"] = jnp.median(found.similarity[first], (1, 2))
    return drawn


def _parting(drawn: Sequence[tuple[Array, driver.Trace]], twin: Array, every: int) -> dict[str, Any]:
    """Denoised frames (2, F, H, W, C) of the pair that ends least alike, and their similarity (F,)."""
    pair = int(jnp.argmin(twin))
    frames = jnp.stack([trace.denoised[:, pair] for _, trace in drawn])
    known = np.flatnonzero(np.isfinite(frames).all((0, 2, 3, 4)))
    chosen = known[np.unique(np.linspace(0, len(known) - 1, _NUM_FRAMES).astype(int))]
    return {
        "parting/frames": frames[:, chosen],
        "parting/steps": chosen * every,
        "parting/sigma": jnp.stack([trace.sigma[:, pair] for _, trace in drawn]),
        "parting/similarity": metrics.cosine_similarity(frames[0, chosen], frames[1, chosen]),
    }
