"""Singular vectors of the Jacobian of a consistency model, beside those of the denoiser that it learnt from.

Is the one-step map adapted to the image at hand as the denoiser is? Left singular vectors live among images, right ones
in noise. For Gaussian images both maps are linear, of the same vectors, and the singular values of the consistency
function are the roots of the denoiser's, and the Wiener filter's vectors those of the linear flow. An untrained network
is a multiple of the identity, which every consistency function is at sigma_min.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from gahr import noise
from gahr.analysis import adaptivity, geometry
from gahr.analysis.jacobian import Eigenbasis, SingularBasis
from gahr.classical.analytic import fit_gaussian, points
from gahr.classical.flows import gaussian_flow
from gahr.denoiser import at
from gahr.names import require_positive
from gahr.studies.shared.images import draw_image, draw_vector
from gahr.studies.shared.local_basis import bases_at, fixed_bases, spread, swap_checks
from gahr.studies.shared.options import require_least, runs_named
from gahr.studies.shared.study import Arrays, AtLeast, Check, Limit, Runs, Study
from gahr.studies.shared.style import COLOURS, STYLE
from gahr.types import Array, Key, Progress, Sharding

_SIZES = (5, 10, 20, 50)  # of the subspaces that are compared
_SHOWN = 100  # left vectors drawn
_LABELS = {"student": "consistency model", "teacher": "denoiser", "student/nulls/linear": "linear flow"}
_LABELS |= {"student/nulls/untrained": "untrained"}


def analyze(
    *,
    sigma: float = 0.5,
    sigma_min: float = 0.002,
    num_images: int = 8,
    num_fit: int = 10_000,
    num_memorized: int = 200,
) -> Callable:
    """Jacobians of student, teacher and nulls at the same noisy test images.

    Args:
      sigma: noise level, image units; the report's 1 is 0.5 where its images are in [-1, 1], and about 0.25 where it
        is one standard deviation of the pixels.
      sigma_min: where the student is the identity, image units.
      num_images: images.
      num_fit: training images of the Gaussian flow, at most.
      num_memorized: training images of the null that memorizes.

    Returns:
      Function (runs "teacher" and "student", key, *, progress, sharding=None) -> arrays of
      `gahr.studies.shared.local_basis.bases_at` for "student", "teacher" and the nulls "student/nulls/WHO"; images.

    Raises:
      ValueError: an option that cannot be used.
    """
    require_positive(sigma=sigma, sigma_min=sigma_min)
    require_least(num_images=(num_images, 2), num_fit=(num_fit, 2), num_memorized=(num_memorized, 1))

    def analysis(runs: Runs, key: Key, *, progress: Progress, sharding: Sharding | None = None) -> Arrays:
        student, teacher = runs_named(runs, "student", "teacher")
        training = teacher.images(teacher.subset, num_fit)
        clean = student.images("test", num_images)
        noisy = noise.add_noise(key, clean, sigma)
        subjects = {
            "student": student.noise_denoiser,
            "teacher": teacher.noise_denoiser,
            "student/nulls/linear": gaussian_flow(*fit_gaussian(training), sigma_min=sigma_min),
            "student/nulls/memorizer": points(training[:num_memorized]),
        }
        if student.initial is not None:
            subjects["student/nulls/untrained"] = student.initial
        options = dict(sigma=sigma, progress=progress, sharding=sharding, measure=_vectors)
        arrays: dict[str, Any] = {"sigma": sigma, "student/clean": clean[0], "noisy": noisy[0]}
        for who, subject in subjects.items():
            found = bases_at(at(subject, sigma), clean, noisy, note=who, **options)
            arrays |= {f"{who}/{quantity}": values for quantity, values in found.items()}
        for basis, vectors in fixed_bases(clean.shape[1:], images=training).items():
            arrays[f"student/fixed/{basis}"] = adaptivity.dimension(vectors, clean, sigma=sigma)
        for who in subjects:
            if who != "teacher":
                arrays[f"{who}/shared"] = _shared(arrays[f"{who}/left"], arrays["teacher/left"])
        arrays["student/shown"] = arrays["student/left"][0][:_SHOWN]
        arrays["student/shown_right"] = arrays["student/right"][0][: _SHOWN // 10]
        arrays = {name: values for name, values in arrays.items() if name.split("/")[-1] not in ("left", "right")}
        return {quantity: np.asarray(value) for quantity, value in arrays.items()}

    return analysis


def _vectors(eigen: Eigenbasis, singular: SingularBasis, clean: Array) -> dict[str, Array]:
    del eigen, clean
    left, right = singular.left[:_SHOWN], singular.right[:_SHOWN]
    return {
        "left": left,
        "right": right,
        "harmonicity": geometry.rank_correlation(geometry.mean_frequency(left), jnp.arange(len(left))),
        "alignment": jnp.abs(jnp.sum(left * right, (1, 2, 3)))[:10].mean(),
    }


@jax.jit
def _shared(left: Array, others: Array) -> Array:
    """Overlap of the leading subspaces at each image, and with those at the next image, (2, n, sizes)."""

    def overlaps(pair: tuple[Array, Array]) -> Array:
        one, other = pair
        sizes = [min(size, len(one)) for size in _SIZES]
        return jnp.stack([geometry.overlap(one[:size], other[:size]) for size in sizes])

    # one image at a time: batches of decompositions wait for each other for ever on two cores (jaxlib 0.10.2)
    return jnp.stack([jax.lax.map(overlaps, (left, each)) for each in (others, jnp.roll(others, 1, 0))])


def decay(values: np.ndarray) -> float:
    """Slope of ln s_k on ln k for k from 5 to d / 4, in the mean over images (n, d)."""
    numbers = np.arange(5, max(8, values.shape[1] // 4) + 1)
    logarithms = np.log(np.maximum(values[:, numbers - 1], 1e-12))
    return float(np.mean([np.polyfit(np.log(numbers), row, 1)[0] for row in logarithms]))


def exponent(values: np.ndarray, others: np.ndarray) -> float:
    """Slope of ln s_k of one map on that of another, k from 3 to 40; 1/2 for flow and denoiser of Gaussian images."""
    part = slice(2, min(40, values.shape[1]))
    logarithms = (np.log(np.maximum(each[:, part], 1e-12)).ravel() for each in (others, values))
    return float(np.polyfit(*logarithms, 1)[0])


def check(arrays: Arrays, *, swapped: Limit = None, shared: Limit = None) -> list[Check]:
    """Theory beside measurement.

    Args:
      arrays: from `analyze`.
      swapped: mark for the dimension of images in another's left singular vectors over that in their own.
      shared: mark for the overlap of the 10 leading left singular vectors of student and teacher, less that with those
        of the teacher at another image.

    Returns:
      List of Check; a mark of None makes the line a report without verdict.
    """
    nulls = [name for name in ("linear", "untrained", "memorizer") if f"student/nulls/{name}/shared" in arrays]
    values = {who: arrays[f"{who}/singular_values"] for who in ("student", "teacher")}
    of_nulls = {name: arrays[f"student/nulls/{name}/singular_values"] for name in nulls}
    rank = lambda s: float(np.mean(s.sum(1) ** 2 / (s**2).sum(1)))
    both = lambda measure: {who: measure(each) for who, each in values.items()}
    size = values["student"].shape[1]
    checks = [
        Check("asymmetry |J - J^T| / |J|", None, {who: spread(arrays[f"{who}/asymmetry"]) for who in values}),
        Check("largest singular value", None, both(lambda s: float(s[:, 0].mean()))),
        Check("effective rank (sum s)^2 / sum s^2", None, both(rank), nulls={n: rank(s) for n, s in of_nulls.items()}),
        Check("singular values above 0.1", None, both(lambda s: float((s > 0.1).sum(1).mean()))),
        Check("slope of ln s_k on ln k", None, both(decay), nulls={n: decay(s) for n, s in of_nulls.items()}),
        Check(
            "slope of ln s_k of the consistency model on the denoiser's",
            {"Gaussian images": 0.5},
            exponent(values["student"], values["teacher"]),
        ),
        Check("cosine of left and right singular vector, 10 leading", None, spread(arrays["student/alignment"])),
        Check(
            "rank correlation of frequency and number, first 100",
            {"Fourier": 1, "noise": 0},
            spread(arrays["student/harmonicity"]),
        ),
    ]
    for k, number in enumerate(_SIZES):
        own, other = (arrays["student/shared"][row][:, k] for row in (0, 1))
        lead = lambda who, k=k: float(np.subtract(*arrays[f"{who}/shared"][:, :, k]).mean())
        words = f"overlap of {number} leading left singular vectors with the denoiser's"
        checks.append(Check(words, {"chance": number / size, "at another image": spread(other)}, spread(own)))
        if number == 10:
            found = {name: lead(f"student/nulls/{name}") for name in nulls if name != "memorizer"}
            checks.append(Check("the same less that at another image", None, lead("student"), AtLeast(shared), found))
    return [*checks, *swap_checks(arrays, "student", swapped=swapped)]


def draw(arrays: Arrays, *, title: str = ""):
    """Figure: the image, a hundred left and ten right singular vectors; singular values, and subspaces shared."""
    import matplotlib.pyplot as plt

    with plt.rc_context(STYLE):
        figure = plt.figure(figsize=(7.0, 8.6), layout="constrained")
        figure.suptitle(title)
        above, middle, below = figure.subfigures(3, 1, height_ratios=(5.4, 0.75, 2.4))
        panels = above.subplots(10, 10)
        for axes in panels.flat:
            axes.set_axis_off()  # small images have fewer vectors
        above.suptitle("Left singular vectors 1 to 100 of the consistency model, with singular values", fontsize=8)
        shown = zip(panels.flat, arrays["student/shown"], arrays["student/singular_values"][0], strict=False)
        for axes, vector, value in shown:
            draw_vector(axes, vector, f"{value:.2f}", fontsize=5.5, pad=1)
        row = middle.subplots(1, 12)
        draw_image(row[0], arrays["student/clean"], "clean", fontsize=6)
        draw_image(row[1], arrays["noisy"], "noisy", fontsize=6)
        for k, (axes, vector) in enumerate(zip(row[2:], arrays["student/shown_right"], strict=True), 1):
            draw_vector(axes, vector, f"right {k}", fontsize=6)
        _draw_curves(*below.subplots(1, 2), arrays)
    return figure


def _draw_curves(factors, shared, arrays: Arrays) -> None:
    looks = zip(_LABELS.items(), (*COLOURS[:2], "0.5", "0.5"), ("-", "-", ":", "--"), strict=True)
    for (who, label), colour, style in looks:
        if f"{who}/singular_values" not in arrays:
            continue
        values = arrays[f"{who}/singular_values"].mean(0)
        factors.plot(np.arange(1, len(values) + 1), values, style, color=colour, label=label)
        if who == "teacher":
            factors.plot(np.arange(1, len(values) + 1), np.sqrt(values), "-.", color=colour, lw=0.8, label="its root")
        else:
            sizes = np.minimum(_SIZES, len(values))
            shared.plot(sizes, arrays[f"{who}/shared"][0].mean(0), style, color=colour, marker="o", ms=3, label=label)
    shared.plot(sizes, arrays["student/shared"][1].mean(0), "o", mfc="none", color=COLOURS[0], label="at another image")
    shared.plot(sizes, sizes / len(values), color="black", lw=0.8, label="chance")
    factors.set(xscale="log", yscale="log", ylim=(1e-3, None), xlabel="number $k$", title="Singular values")
    shared.set(xlabel="vectors $K$", ylim=(0, 1), title="Overlap with the denoiser's left singular vectors")
    factors.legend()
    shared.legend(loc=(0.42, 0.22))


STUDY = Study(analyze, check, draw)
