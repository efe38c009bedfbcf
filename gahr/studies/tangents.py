"""What it takes to find the tangent space of the set of disks: networks that differ in one thing each, as they learn.

The five leading eigenvectors of an optimal denoiser's Jacobian span the tangent space at a disk where the noise is
small (Kadkhodaie et al., 2024, arXiv:2310.02557, figure 5). `gahr.studies.disks` says how far from that one network is;
here the overlap and the distance to the exact posterior mean stand against the number of training images drawn.
"""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import metrics, noise
from gahr.analysis import geometry, jacobian
from gahr.data import disks
from gahr.denoiser import at
from gahr.names import require_positive
from gahr.studies.shared.disk_sets import DIMENSION, draw_disks, posteriors, require_samples
from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.measures import counter, curve_of_told, whole_jacobian
from gahr.studies.shared.nulls import linear
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, NULLS, STYLE
from gahr.types import Array, Key, NoiseDenoiser, Progress, Sharding

_MARKERS = "os^Dv<>"
_KINDS = {"left": "left singular vectors", "eigen": "eigenvectors"}


def analyze(
    *,
    sigma: float = 0.04,
    psnr_sigma: float = 0.1,
    num_disks: int = 8,
    num_images: int = 64,
    num_samples: int = 2048,
    num_fit: int = 20_000,
) -> Callable:
    """Every stage of every run, the network before training, and the best linear denoiser.

    Args:
      sigma: noise level of the Jacobians, image units.
      psnr_sigma: that of the output PSNR.
      num_disks: disks whose whole Jacobian is decomposed, the first of the `num_images`.
      num_images: disks of the PSNR; none is a training image.
      num_samples: proposals of a round of an exact posterior.
      num_fit: training images that the linear denoiser is fitted to, at most.

    Returns:
      Function (runs on disks of one size, key, *, progress, sharding=None) -> arrays named "RUN/quantity": images (K,),
      training images drawn at each stage, from 0; of each stage eigen and left (K, n), overlap of five leading vectors
      with the tangents, and psnr (K, N). Once more as "RUN/linear/quantity", K = 1; and "RUN/exact" (N,), the PSNR of
      the exact posterior mean, where the edge of the disks is one pixel wide.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_positive(sigma=sigma, psnr_sigma=psnr_sigma)
    require_least(num_disks=(num_disks, 2), num_images=(num_images, num_disks), num_samples=(num_samples, 16))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        arrays: dict[str, Any] = {"runs": np.array(list(runs)), "sigma": sigma, "psnr_sigma": psnr_sigma}
        arrays["pixels"] = next(iter(runs.values())).data["size"] ** 2
        disk_key, noise_key, proposal_key = (jax.random.fold_in(key, part) for part in range(3))
        advance = counter(progress, sum(3 + len(run.stages) for run in runs.values()))
        exact: dict[int, Array] = {}  # by size

        for name, run in runs.items():
            size, ramp = run.data["size"], run.data.get("ramp", 1.0)
            parameters, clean = draw_disks(jax.random.split(disk_key, num_images), size, ramp)
            tangents = jax.vmap(functools.partial(disks.tangents, size=size, ramp=ramp))(parameters)[:num_disks]
            near, far = (noise.add_noise(noise_key, clean, level) for level in (sigma, psnr_sigma))

            def found(
                denoiser: NoiseDenoiser, name: str = name, clean: Array = clean, near: Array = near, tangents=tangents
            ) -> dict[str, Array]:
                advance(name)
                overlaps = [
                    _overlaps(whole_jacobian(at(denoiser, sigma), noisy, progress, sharding=sharding), each)
                    for noisy, each in zip(near, tangents, strict=False)
                ]
                psnr = curve_of_told(denoiser, noise_key, clean, jnp.array([psnr_sigma]), sharding=sharding)[:, 0]
                return {"psnr": psnr} | jax.tree.map(lambda *each: jnp.stack(each), *overlaps)

            if ramp == 1:
                if size not in exact:
                    keys, level = jax.random.split(proposal_key, num_images), jnp.float32(psnr_sigma)
                    options = dict(size=size, num_samples=num_samples, sharding=sharding)
                    posterior = posteriors(far, level, keys, parameters, **options)
                    require_samples(posterior.effective, level, num_samples)
                    exact[size] = metrics.psnr(clean, posterior.mean)
                arrays[f"{name}/exact"] = exact[size]
            advance(f"{name}, exact posterior")
            arrays |= {f"{name}/images": np.array([0, *sorted(run.stages)])}
            for prefix, values in (
                (name, [found(run.initial), *(found(run.stages[number]()) for number in sorted(run.stages))]),
                (f"{name}/linear", [found(linear(run.images(run.subset, num_fit)))]),
            ):
                stacked = jax.tree.map(lambda *each: jnp.stack(each), *values)
                arrays |= {f"{prefix}/{quantity}": value for quantity, value in stacked.items()}
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


@jax.jit
def _overlaps(matrix: Array, tangents: Array) -> dict[str, Array]:
    """Overlap of the five leading vectors of one Jacobian with the tangents (5, H, W, C)."""
    eigen, singular = (of(matrix, tangents.shape[1:]) for of in (jacobian.eigenbasis_of, jacobian.singular_basis_of))
    bases = {"eigen": eigen.vectors, "left": singular.left}
    return {kind: geometry.overlap(vectors[:DIMENSION], tangents) for kind, vectors in bases.items()}


def check(arrays: Arrays, *, overlap: Limit = None, psnr_below_exact: Limit = None) -> list[Check]:
    """Theory and nulls beside measurement; the finished network first, then the stages before it, the last ones first.

    Args:
      arrays: from `analyze`.
      overlap: mark for the mean over disks of the overlap of five leading eigenvectors with the tangents.
      psnr_below_exact: mark for the output PSNR below that of the exact posterior mean, dB.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    checks, chance = [], {"optimum": 1, "chance": DIMENSION / arrays["pixels"]}
    for name in map(str, arrays["runs"]):
        images = arrays[f"{name}/images"]

        def row(text: str, theory: Any, quantity: Callable, mark: Any, name=name, images=images) -> Check:
            of_stages = [spread(values) for values in quantity(name)]
            nulls = {"linear": float(quantity(f"{name}/linear").mean()), "untrained": of_stages[0].mean}
            measured = {f"{n:,} images": of_stages[i] for i, n in reversed([*enumerate(images)][1:])}
            return Check(f"{name}: {text}", theory, measured, mark, nulls)

        for kind, vectors in _KINDS.items():
            text = f"overlap of {DIMENSION} leading {vectors} and tangents, sigma = {arrays['sigma']:g}"
            of_kind = lambda who, kind=kind: arrays[f"{who}/{kind}"]
            checks.append(row(text, chance, of_kind, AtLeast(overlap if kind == "eigen" else None)))
        if f"{name}/exact" in arrays:
            text = f"output PSNR below the exact posterior's, sigma = {arrays['psnr_sigma']:g}, dB"
            below = lambda who, name=name: arrays[f"{name}/exact"] - arrays[f"{who}/psnr"]
            checks.append(row(text, {"optimum": 0}, below, AtMost(psnr_below_exact)))
    finished = {name: spread(arrays[f"{name}/left"][-1]) for name in map(str, arrays["runs"])}
    return [*checks, Check("overlap of the left singular vectors of the finished networks", chance, finished)]


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: overlaps and distance to the exact posterior against training images drawn, a line for each run."""
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 2.8), layout="constrained")
        figure.suptitle(title)
        panels = dict(zip((*_KINDS, "below"), figure.subplots(1, 3), strict=True))
        for kind, axes in panels.items():
            for i, name in enumerate(map(str, arrays["runs"])):
                look = dict(color=COLOURS[i % len(COLOURS)], marker=_MARKERS[i % len(_MARKERS)], ms=3.5, label=name)
                if kind == "below" and f"{name}/exact" not in arrays:
                    continue
                of = lambda who, name=name, kind=kind: (
                    (arrays[f"{name}/exact"] - arrays[f"{who}/psnr"]) if kind == "below" else arrays[f"{who}/{kind}"]
                ).mean(1)
                axes.plot(arrays[f"{name}/images"][1:], of(name)[1:], **look)
                if i == 0:
                    axes.axhline(float(of(f"{name}/linear")[0]), **NULLS["linear"], label="linear denoiser")
            axes.axhline(0 if kind == "below" else 1, color="black", lw=0.8, label="optimum")
            axes.set(xscale="log", xlabel="training images drawn")
            if kind != "below":
                axes.set(ylim=(0, 1.05), title=f"overlap of {DIMENSION} leading\n{_KINDS[kind]} and tangents")
        panels["below"].set(title=f"PSNR below the exact posterior's\n(dB), $\\sigma$ = {arrays['psnr_sigma']:g}")
        figure.legend(*panels["left"].get_legend_handles_labels(), loc="outside lower center", ncols=6)
    return figure


STUDY = Study(analyze, check, draw)
