"""How many dimensions do the images of one matt object under all distant lights have?

Basri and Jacobs (2003): shading passes low orders of spherical harmonics, so that nine images hold 99.2 % of the energy
of all of them over all normals, and nearly that of what is seen of a ball. The null are nine smooth images that know
the albedo but not the normals.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr.classical import cosines, lambertian
from gahr.names import require
from gahr.studies.shared.images import draw_vector
from gahr.studies.shared.local_basis import spread
from gahr.studies.shared.options import require_least
from gahr.studies.shared.study import Arrays, AtLeast, AtMost, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, NULLS, STYLE
from gahr.types import Key, Progress, Sharding

_DIMENSIONS = (1, 4, 9, 16, 25)  # of harmonics up to order 0, 1, ...
_HEIGHTS = 48  # of the normals over the whole sphere, by twice as many turns


def analyze(*, size: int = 48, num_lights: int = 300, path: str = "") -> Callable:
    """Shares of energy in subspaces, of a ball with random albedo and of all normals, under lights of all directions.

    Args:
      size: side of the ball's images, pixels.
      num_lights: directions, at random on the sphere; on the ball those from behind are mirrored to the front.
      path: .npz with `images` (N, H, W), whole numbers to 255, and `subject` (N,), of objects under many lights each;
        none where empty.

    Returns:
      Function (runs, key, *, progress, sharding=None), of no runs -> arrays: "OBJECT/held" (25,), share of the best
      subspaces, of "all normals", "ball" and, of each subject (n, 25), "file"; "OBJECT/nine", "OBJECT/four" (N,): share
      of each image in the harmonic images, "ball/null" (N,) in smooth ones; "harmonics" (9, size, size, 1), images (3,
      size, size, 1).

    Raises:
      ValueError: an option that cannot be used, or a subject with fewer than 25 images.
    """
    require_least(size=(size, 8), num_lights=(num_lights, 25))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        del runs, sharding
        keys = jax.random.split(key)
        lights = jax.random.normal(keys[0], (num_lights, 3))
        lights /= jnp.linalg.norm(lights, axis=1, keepdims=True)
        front = lights * jnp.where(lights[:, 2:] < 0, -1, 1)
        albedo = jax.random.uniform(keys[1], (size, size), minval=0.2, maxval=1.0)
        arrays: dict[str, Any] = {}
        objects = {"all normals": (*_all_normals(), lights), "ball": (lambertian.sphere(size), albedo, front)}
        for i, (name, (normals, reflected, shining)) in enumerate(objects.items()):
            progress.check()
            images = lambertian.shade(normals, reflected, shining)
            spanning = lambertian.harmonic_images(normals, reflected)
            arrays |= {
                f"{name}/held": lambertian.held_energy(images)[: _DIMENSIONS[-1]],
                f"{name}/nine": lambertian.share_in(images, spanning),
                f"{name}/four": lambertian.share_in(images, spanning[:4]),
            }
            progress.update("objects", i + 1, len(objects))
        is_object = jnp.any(normals != 0, -1, keepdims=True)
        smooth = cosines.basis((size, size, 1))[:9] * (reflected[..., None] * is_object)[None]
        arrays |= {"ball/null": lambertian.share_in(images, smooth), "harmonics": spanning, "images": images[:3]}
        if path:
            arrays["file/held"] = _of_subjects(path)
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _all_normals() -> tuple[jax.Array, jax.Array]:
    """Normals (H, W, 3) over the whole sphere; as albedo the root of the area of each, so that squares integrate."""
    heights, weights = np.polynomial.legendre.leggauss(_HEIGHTS)
    turns = (np.arange(2 * _HEIGHTS) + 0.5) * np.pi / _HEIGHTS
    radius = np.sqrt(1 - heights**2)[:, None]
    normals = np.stack([radius * np.cos(turns), radius * np.sin(turns), heights[:, None] + 0 * turns], -1)
    area = np.sqrt(weights[:, None] * np.pi / _HEIGHTS + 0 * turns)
    return jnp.asarray(normals, jnp.float32), jnp.asarray(area, jnp.float32)


def _of_subjects(path: str) -> np.ndarray:
    with np.load(path) as file:
        images, subjects = np.asarray(file["images"], np.float32)[..., None] / 255, file["subject"]
    held = []
    for subject in np.unique(subjects):
        own = images[subjects == subject]
        require(len(own) >= _DIMENSIONS[-1], f"the number of images of subject {subject}", len(own), "at least 25")
        held.append(lambertian.held_energy(jnp.asarray(own))[: _DIMENSIONS[-1]])
    return np.stack(held)


def check(arrays: Arrays, *, nine_within: Limit = None, nine_of_ball: Limit = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      nine_within: mark for the largest |share of nine harmonic images - theory|, over lights, on all normals.
      nine_of_ball: mark for the share of nine harmonic images of the ball, in the mean over lights.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    theory = np.cumsum([lambertian.energy(n) for n in range(5)])
    far = lambda shares, of: float(np.max(abs(shares - of)))
    checks = [
        Check(
            f"all normals: |share of nine harmonic images - {theory[2]:.4f}|, largest over lights",
            0,
            far(arrays["all normals/nine"], theory[2]),
            AtMost(nine_within),
            {"four harmonic images": far(arrays["all normals/four"], theory[2])},
        ),
        Check("all normals: share of four harmonic images", float(theory[1]), spread(arrays["all normals/four"])),
        Check(
            "ball: share of nine harmonic images",
            {"all normals": float(theory[2])},
            spread(arrays["ball/nine"]),
            AtLeast(nine_of_ball),
            {"nine smooth images": spread(arrays["ball/null"]), "four harmonic images": spread(arrays["ball/four"])},
        ),
    ]
    for name in ("all normals", "ball", "file"):
        if f"{name}/held" in arrays:
            held = np.atleast_2d(arrays[f"{name}/held"])
            shares = {f"{k}": spread(held[:, k - 1]) for k in (1, 3, 4, 9, 16)}
            checks.append(Check(f"{name}: share of the best subspaces", None, shares))
    return checks


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: images of the ball and its nine harmonic images above, energy by dimension below."""
    import matplotlib.pyplot as plt

    theory = np.cumsum([lambertian.energy(n) for n in range(5)])
    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 4.4), layout="constrained")
        figure.suptitle(title)
        above, below = figure.subfigures(2, 1, height_ratios=(1, 1.9))
        panels = above.subplots(2, 6)
        orders = ["order 0", *["order 1"] * 3, *["order 2"] * 5]
        for axes, image in zip(panels.flat, arrays["images"], strict=False):
            draw_vector(axes, image, "one light", fontsize=6.5)
        for axes, image, order in zip(panels.flat[3:], arrays["harmonics"], orders, strict=True):
            draw_vector(axes, image, order, fontsize=6.5)
        axes = below.subplots()
        number = np.arange(1, _DIMENSIONS[-1] + 1)
        looks = (("all normals", COLOURS[0], "o"), ("ball", COLOURS[1], "s"), ("file", COLOURS[2], "^"))
        for name, colour, marker in looks:
            if f"{name}/held" in arrays:
                held = np.atleast_2d(arrays[f"{name}/held"]).mean(0)
                label = f"{name}: best subspaces" + (", mean over subjects" if name == "file" else "")
                axes.plot(number, 1 - held, color=colour, marker=marker, ms=3, label=label)
        axes.plot(_DIMENSIONS, 1 - theory, "kx", ms=6, label="all normals: orders 0, 1, 2, ..., theory")
        shares = np.mean(arrays["ball/four"]), np.mean(arrays["ball/nine"])
        axes.plot((4, 9), 1 - np.array(shares), "D", color=COLOURS[1], mfc="none", label="ball: harmonic images")
        null = 1 - np.mean(arrays["ball/null"])
        axes.plot(9, null, "v", color=NULLS["linear"]["color"], label="ball: nine smooth images")
        axes.set(yscale="log", xlabel="dimensions", ylabel="share of energy left out", ylim=(1e-4, 1))
        axes.legend()
    return figure


STUDY = Study(analyze, check, draw)
