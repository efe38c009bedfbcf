"""From memorization to generalization, seen in samples: two networks, disjoint training sets, the same noise.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 2, 6 to 8 and 10: trained on few images, each of two networks
returns its own; trained on many, both return one and the same image, which is in neither set.
"""

import functools
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics
from gahr.analysis import generalization
from gahr.types import Progress
from gahr.sampling import blind
from gahr.studies.common import Run, check_counts
from gahr.studies.shared.families import families, nearest_size
from gahr.studies.twins.check import check
from gahr.studies.twins.figure import draw
from gahr.types import Array, Denoiser, Key

__all__ = ["analyze", "check", "draw", "validate"]

_NUM_SHOWN = 2  # pairs drawn per N
_NUM_COLLAGES = 4  # samples of network a drawn beside their collages
_NUM_FRAMES = 8  # of a pair that parts
_PIECE = 32  # steps between two looks at the clock


def validate(analysis: Mapping[str, Any], marks: Mapping[str, Any]) -> None:
    """ValueError unless the options of `analyze` can be used."""
    del marks
    check_counts(analysis, num_samples=6, max_steps=1, frame_every=1)


def analyze(
    runs: Mapping[str, Run],
    key: Key,
    *,
    num_samples: int = 128,
    step_size: float = 0.01,
    beta: float = 0.1,
    growing: bool = False,
    sigma_stop: float = 0.05,
    max_steps: int = 5_000,
    frame_every: int = 10,
    patch: int = 4,
    progress: Progress,
) -> dict[str, np.ndarray]:
    """Samples of every pair of networks from the same noise, and the training images nearest to them.

    Args:
      runs: "VARIANT_nN_SUBSET" -> Run, both subsets of each N.
      key: random key of start and noise of the samples.
      num_samples: per network; the same keys at every N.
      step_size, beta, growing, sigma_stop, max_steps: of `gahr.sampling.blind.ascend`; samples are denoised at the
        end and start about 0.5.
      frame_every: steps between the stored frames of the largest N.
      patch: side of the patches that are compared with training patches, pixels; divides the image side.
      progress: shows the state and asks for stops.

    Returns:
      Arrays named "VARIANT/quantity": set_sizes (K,), nearest (K, 2, S), twin (K, S), floor (K,): median similarity
      of the closest pairs of the two sets, patches (K, 2): median similarity of patches of network a's samples to its
      own and to the other set, steps and diverged (K, 2, S); of the last variant images to draw.
    """
    variants = families(runs)
    expected = _expected_steps(1.0, sigma_stop, step_size, beta, growing)
    arrays: dict[str, Any] = {"variants": np.array(list(variants)), "expected_steps": expected}
    options = dict(step_size=step_size, beta=beta, growing=growing, sigma_stop=sigma_stop)
    move = jax.jit(functools.partial(blind.advance, num_steps=_PIECE, **options))
    for variant, pairs in variants.items():
        rows = []
        for number, pair in pairs.items():
            shape = (num_samples, *pair[0].images("test", 1).shape[1:])
            shown = variant == list(variants)[-1]
            frames = frame_every if shown and number == max(pairs) else 0
            start = blind.init(key, shape, max_steps=max_steps, frame_every=frames)
            found = [
                _sample(move, run.denoiser, key, start, progress, f"{variant}, N = {number:,}: samples {subset}")
                for run, subset in zip(pair, "ab", strict=True)
            ]
            sets = [run.images(subset, number) for run, subset in zip(pair, "ab", strict=True)]
            collages = [_collage(found[0][0], images, patch=patch) for images in sets]  # of its own and the other set
            row, images = _compare(found, sets, collages)
            rows.append(row)
            if shown and number == nearest_size(pairs):
                arrays |= _drawn(found[0][0], collages) | {"collage/set_size": number}
            if shown:
                arrays |= {f"shown/{number}/{name}": value for name, value in images.items()}
                if frames:
                    arrays |= _parting(found, row["twin"], frames)
        arrays[f"{variant}/set_sizes"] = np.array(list(pairs))
        arrays |= {f"{variant}/{name}": jnp.stack([row[name] for row in rows]) for name in rows[0]}
    return {quantity: np.asarray(value) for quantity, value in arrays.items()}


def _sample(
    move: Any, denoiser: Denoiser, key: Key, state: blind.State, progress: Progress, note: str
) -> tuple[Array, blind.Trace]:
    """`blind.ascend` in pieces, between which a stop is heard."""
    while bool(state.running.any()):
        progress.check()
        state = move(denoiser, key, state)
        progress.update(note, int(jnp.sum(~state.running)), len(state.running), note=f"step {int(state.steps.max())}")
    return blind.result(state, final_denoise=True)


def _expected_steps(sigma_start: float, sigma_stop: float, step_size: float, beta: float, growing: bool) -> int:
    """Steps where the denoiser removes exactly the noise: sigma falls by 1 - beta h_t."""
    sigma, t = sigma_start, 0
    while sigma > sigma_stop:
        sigma *= 1 - beta * (step_size * (t + 1) / (1 + step_size * t) if growing else step_size)
        t += 1
    return t


def _compare(
    found: list, sets: list[Array], collages: list[generalization.Collage]
) -> tuple[dict[str, Array], dict[str, Array]]:
    samples = [one for one, _ in found]
    near = [_nearest(one, images) for one, images in zip(samples, sets, strict=True)]
    row = {
        "nearest": jnp.stack([each.similarity for each in near]),
        "twin": metrics.cosine_similarity(*samples),
        "floor": jnp.median(_closest(*sets)),
        "patches": jnp.stack([jnp.median(each.similarity) for each in collages]),
        "steps": jnp.stack([trace.steps for _, trace in found]),
        "diverged": jnp.stack([trace.diverged for _, trace in found]),
    }
    shown = slice(0, _NUM_SHOWN)
    images = {
        f"{kind}_{subset}": values[shown]
        for subset, one, each, training in zip("ab", samples, near, sets, strict=True)
        for kind, values in (("sample", one), ("nearest", training[each.index[shown]]))
    }
    return row, images


_nearest = jax.jit(generalization.nearest)
_closest = jax.jit(generalization.closest_pairs)
_collage = jax.jit(generalization.patch_collage, static_argnames="patch")


def _drawn(samples: Array, collages: list[generalization.Collage]) -> dict[str, Array]:
    """Samples (n, H, W, C), their collages and the median similarities (n,) of the patches to own and other set."""
    first = slice(0, _NUM_COLLAGES)
    drawn = {"collage/sample": samples[first]}
    for kind, found in zip(("own", "other"), collages, strict=True):
        drawn[f"collage/{kind}"] = found.images[first]
        drawn[f"collage/{kind}_similarity"] = jnp.median(found.similarity[first], (1, 2))
    return drawn


def _parting(found: list, twin: Array, every: int) -> dict[str, Array]:
    """Denoised frames (2, F, H, W, C) of the pair that ends least alike, and their similarity (F,)."""
    pair = int(jnp.argmin(twin))
    frames = jnp.stack([trace.denoised[:, pair] for _, trace in found])
    known = np.flatnonzero(np.isfinite(frames).all((0, 2, 3, 4)))
    chosen = known[np.unique(np.linspace(0, len(known) - 1, _NUM_FRAMES).astype(int))]
    return {
        "parting/frames": frames[:, chosen],
        "parting/steps": chosen * every,
        "parting/sigma": jnp.stack([trace.sigma[:, pair] for _, trace in found]),
        "parting/similarity": metrics.cosine_similarity(frames[0, chosen], frames[1, chosen]),
    }
