"""The disk study: exact posterior against plain sampling, marks, and the whole command at smoke scale."""

import functools
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import experiment, noise
from gahr.analysis import jacobian
from gahr.data import disks
from gahr.experiment.progress import Progress
from gahr.studies import disks as study
from gahr.studies.common import Run
from gahr.classical.disk_posterior import exact_jacobian, posterior_mean

ROOT = Path(__file__).parent.parent
SIZE = 8
DISK = disks.Parameters(*(jnp.float32(value) for value in (0.8, 0.2, 1.6, 3.7, 4.4)))


def config(argument):
    return runpy.run_path(str(ROOT / "configs" / "disks.py"))["get_config"](argument)


@jax.jit
def from_the_prior(noisy, sigma):
    """Posterior mean, its standard error, tr Cov / sigma^2 and effective samples, with the prior as the proposals."""
    images = jax.vmap(functools.partial(disks.sample, size=SIZE))(jax.random.split(jax.random.key(5), 600_000))
    weights = jax.nn.softmax(-jnp.sum((noisy[None] - images) ** 2, (1, 2, 3)) / (2 * sigma**2))
    mean = jnp.tensordot(weights, images, 1)
    squares = (images - mean[None]) ** 2
    error = jnp.sqrt(jnp.tensordot(weights**2, squares, 1))
    return mean, error, jnp.tensordot(weights, squares, 1).sum() / sigma**2, 1 / jnp.sum(weights**2)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_posterior_mean_is_that_of_the_prior_whatever_the_reference(sigma):
    noisy = noise.add_noise(jax.random.key(1), disks.render(DISK, size=SIZE), sigma)
    mean, error, trace, effective = from_the_prior(noisy, sigma)
    assert effective > 500
    other = DISK._replace(foreground=jnp.float32(0.6), row=jnp.float32(4.1))
    for reference in (DISK, other):
        found = posterior_mean(noisy, sigma, jax.random.key(2), reference, size=SIZE, num_samples=40_000)
        both = np.hypot(error, found.standard_error)
        assert np.all(abs(found.mean - mean) < 4 * both)  # 64 pixels
        assert both.max() < 0.02
        assert found.trace == pytest.approx(float(trace), rel=0.05)
        assert found.effective > 500


def test_a_standard_error_is_the_spread_over_keys():
    noisy = noise.add_noise(jax.random.key(1), disks.render(DISK, size=SIZE), 0.5)
    keys = jax.random.split(jax.random.key(6), 200)
    one = functools.partial(posterior_mean, size=SIZE, num_samples=500)
    found = jax.jit(jax.vmap(lambda key: one(noisy, 0.5, key, DISK)))(keys)
    assert np.sqrt((found.standard_error**2).mean()) == pytest.approx(np.sqrt(found.mean.var(0).mean()), rel=0.15)


def test_rejection_of_every_proposal_is_a_clear_value_and_an_error_of_the_study():
    outside = disks.render(DISK, size=SIZE) + 40  # no grey level in [0, 1] is near
    found = posterior_mean(outside, 0.01, jax.random.key(2), DISK, size=SIZE, num_samples=64)
    assert found.effective == 0
    np.testing.assert_array_equal(found.mean, disks.render(DISK, size=SIZE))
    assert np.all(exact_jacobian(outside, 0.01, jax.random.key(2), DISK, size=SIZE, num_samples=64) == 0)
    with pytest.raises(ValueError, match=r"sigma = 0\.01; raise study\.analysis\.num_samples, 64 now"):
        study._require_samples(found.effective, 0.01, 64)


def test_small_noise_leaves_the_projection_on_the_tangent_space():
    disk = disks.Parameters(*(jnp.float32(value) for value in (0.8, 0.2, 4.1, 7.7, 8.4)))
    noisy = noise.add_noise(jax.random.key(1), disks.render(disk, size=16), 0.003)
    options = dict(size=16, num_samples=8000)
    found = posterior_mean(noisy, 0.003, jax.random.key(2), disk, **options)
    assert found.trace == pytest.approx(5, rel=0.1)
    assert found.effective > 1000
    tangents = disks.tangents(disk, size=16).reshape(5, -1)
    projection = tangents.T @ jnp.linalg.solve(tangents @ tangents.T, tangents)
    matrix = exact_jacobian(noisy, 0.003, jax.random.key(2), disk, **options)
    assert jnp.linalg.norm(matrix - projection) < 0.2 * jnp.linalg.norm(projection)
    values = jacobian.eigenbasis_of(matrix, (16, 16, 1)).shrinkage
    assert values[4] > 0.8
    assert values[5] < 0.1


@pytest.fixture(scope="module")
def half():
    """Arrays of the study of the denoiser y / 2."""
    runs = {"half": Run(jax.tree_util.Partial(lambda noisy: noisy / 2), lambda subset, number: None, {"size": 8})}
    options = dict(num_disks=2, num_images=3, num_levels=18, num_samples=1024, num_sigmas=4)
    with Progress("off") as progress:
        return study.analyze(runs, jax.random.key(0), progress=progress, **options)


def test_known_denoiser_has_its_trace_and_energy(half):
    np.testing.assert_allclose(half["trace"], 32, rtol=1e-5)
    np.testing.assert_allclose(half["energy"], 16, rtol=1e-5)
    np.testing.assert_allclose(half["shrinkage"], 0.5, rtol=1e-5)
    assert np.all(half["exact"].mean(0) > half["network"].mean(0))
    np.testing.assert_allclose(half["held"][:, 4], half["overlap"], atol=1e-5)
    np.testing.assert_allclose(half["held"][:, -1], 1, rtol=1e-4)
    assert half["exact_overlap"].shape == half["overlap"].shape == (2,)


def test_left_and_right_singular_vectors_are_told_apart():
    tangents = jnp.linalg.qr(disks.tangents(DISK, size=SIZE).reshape(5, -1).T)[0]
    other = jnp.linalg.qr(jax.random.normal(jax.random.key(3), (SIZE**2, 5)))[0]
    scales = jnp.array([3.0, 2.5, 2.0, 1.5, 1.0])
    found = study._compare((tangents * scales[None]) @ other.T, jnp.eye(SIZE**2), DISK, disks.render(DISK, size=SIZE))
    np.testing.assert_allclose(found["singular_values"][:6], [*scales, 0], atol=1e-5)
    assert found["left_overlap"] == pytest.approx(1, abs=1e-5)
    assert found["right_overlap"] == pytest.approx(float(jnp.sum((tangents.T @ other) ** 2)) / 5, abs=1e-5)


def test_marks_are_held_against_overlap_and_dimension(half):
    def met(arrays, **marks):
        return [line.met for line in study.check(arrays, **marks) if line.met is not None]

    assert met(half) == []
    good = half | {"overlap": np.array([0.95, 0.9]), "trace": np.array([[9.0, 8.0, 7.0, 3.0]] * 3)}
    assert met(good, overlap=0.9, dimension_above=5.0) == [True, True, True]
    low = good | {"trace": np.array([[7.0, 8.0, 4.0, 3.0]] * 3)}
    assert met(low, overlap=0.95, dimension_above=5.0) == [False, False, False]


@pytest.mark.parametrize(("field", "value"), [("num_images", 1), ("num_disks", 0), ("sigma", 0.0), ("num_samples", 1)])
def test_bad_options_are_named_before_training(tmp_path, field, value):
    made = config("scale=smoke")
    made.study.analysis[field] = value
    with pytest.raises(ValueError, match=rf"study\.analysis\.{field} must be"):
        experiment.train(made, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_smoke_run_end_to_end(tmp_path):
    made = config("scale=smoke")
    experiment.train(made, tmp_path)
    checks = experiment.study(made, tmp_path)
    assert (tmp_path / "figures" / "disks.png").exists()
    assert {"eigenvalues 1 to 5", "share of |x|^2 in the 5 leading"} <= {check.name for check in checks}
    with np.load(tmp_path / "study.npz") as arrays:
        assert arrays["network"].shape == arrays["exact"].shape == (4, 6)
        assert np.isfinite(arrays["exact"]).all()
        assert arrays["effective"].min() >= 1


def test_scales_share_the_training_of_calpha():
    calpha = runpy.run_path(str(ROOT / "configs" / "calpha.py"))["get_config"]
    for scale in ("smoke", "laptop", "gpu", "paper"):
        (mine,), (theirs,) = config(f"scale={scale}").runs.values(), calpha(f"scale={scale}").runs.values()
        assert mine.optim == theirs.optim
        assert mine.model == theirs.model
        assert set(mine.data) == {"name", "subset", "size", "set_size"}
