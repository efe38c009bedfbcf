"""The disk study: exact posterior against plain sampling, marks, and the whole command at smoke scale."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config, met
from jax.tree_util import Partial
from scipy import stats

from gahr import experiment, noise
from gahr.analysis import jacobian
from gahr.classical import disk_posterior
from gahr.data import disks
from gahr.experiment.progress import Progress
from gahr.studies.disks import STUDY, analysis
from gahr.studies.shared.study import Run

SIZE = 8
OPTIONS = dict(num_disks=2, num_images=3, num_levels=5, num_samples=512, num_sigmas=4)
DISK = disks.Parameters(*(jnp.float32(value) for value in (0.8, 0.2, 1.6, 3.7, 4.4)))
CLEAN = disks.render(DISK, size=SIZE)


@jax.jit
def exact(noisy, sigma, reference):
    """Posterior and Jacobian from 20,000 proposals, compiled once for all tests."""
    options = dict(size=SIZE, num_samples=20_000, least_effective=500)
    functions = disk_posterior.posterior_mean, disk_posterior.exact_jacobian
    return tuple(function(noisy, sigma, jax.random.key(2), reference, **options) for function in functions)


@jax.jit
def from_the_prior(noisy, sigma):
    """Posterior mean, its standard error, tr Cov / sigma^2 and effective samples, with the prior as the proposals."""
    images = jax.vmap(functools.partial(disks.sample, size=SIZE))(jax.random.split(jax.random.key(5), 200_000))
    weights = jax.nn.softmax(-jnp.sum((noisy[None] - images) ** 2, (1, 2, 3)) / (2 * sigma**2))
    mean = jnp.tensordot(weights, images, 1)
    squares = (images - mean[None]) ** 2
    error = jnp.sqrt(jnp.tensordot(weights**2, squares, 1))
    return mean, error, jnp.tensordot(weights, squares, 1).sum() / sigma**2, 1 / jnp.sum(weights**2)


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_posterior_mean_is_that_of_the_prior_whatever_the_reference(sigma):
    noisy = noise.add_noise(jax.random.key(1), CLEAN, sigma)
    mean, error, trace, effective = from_the_prior(noisy, sigma)
    assert effective > 500
    for reference in (DISK, DISK._replace(foreground=jnp.float32(0.6), row=jnp.float32(4.1))):
        found, matrix = exact(noisy, sigma, reference)
        both = np.hypot(error, found.standard_error)
        assert np.all(abs(found.mean - mean) < 4 * both)  # 64 pixels
        assert both.max() < 0.02
        assert found.trace == pytest.approx(float(trace), rel=0.05)
        assert jnp.trace(matrix) == pytest.approx(float(found.trace), rel=1e-4)
        assert found.effective > 500


def test_weights_are_the_likelihood_with_the_grey_levels_integrated():
    """Of radius and centre, exp(-|y - M g|^2 / (2 sigma^2)) / sqrt(det M^T M) at the best grey levels g, M (d, 2)."""
    sigma, noisy = 0.02, noise.add_noise(jax.random.key(1), CLEAN, 0.02)
    centre, covariance = jnp.array([1.5, 4.0, 4.0]), jnp.diag(jnp.array([0.1, 0.3, 0.2]))
    draws = jax.vmap(functools.partial(disks.draw, size=SIZE))(jax.random.split(jax.random.key(3), 40))
    geometry = jnp.stack(draws[2:], -1)
    weigh = jax.jit(disk_posterior._weigh, static_argnames="size")
    law = disk_posterior._Normal(centre, covariance)
    found, _ = weigh(noisy, sigma, jax.random.key(4), DISK, geometry, law, size=SIZE)
    masks = jax.vmap(functools.partial(disks.render, size=SIZE))(
        draws._replace(foreground=0 * draws.row + 1, background=0 * draws.row)
    )
    expected, scales = [], np.array(disk_posterior._SCALES)
    for mask, place in zip(np.asarray(masks, float), np.asarray(geometry, float), strict=True):
        matrix = np.stack([mask.ravel(), 1 - mask.ravel()], 1)
        rest = np.ravel(noisy) - matrix @ np.linalg.lstsq(matrix, np.ravel(noisy))[0]
        prior = 1 / np.ptp(disks.radii(SIZE)) / (SIZE - 2 * place[0]) ** 2
        densities = [prior] + [stats.multivariate_normal(centre, scale * covariance).pdf(place) for scale in scales]
        likelihood = -rest @ rest / (2 * sigma**2) - np.linalg.slogdet(matrix.T @ matrix)[1] / 2
        expected.append(likelihood + np.log(prior / np.dot(disk_posterior._SHARES, densities)))
    grey = np.isfinite(found)  # others were drawn outside of [0, 1]
    assert grey.sum() > 10
    assert np.ptp((found - np.array(expected))[grey]) < 5e-3


def test_rejection_of_every_proposal_is_a_clear_value_and_an_error_of_the_study():
    found, matrix = exact(CLEAN + 40, 0.01, DISK)  # no grey level in [0, 1] is near
    assert found.effective == 0
    np.testing.assert_array_max_ulp(found.mean, CLEAN)
    assert np.all(matrix == 0)
    with pytest.raises(ValueError, match=r"sigma = 0\.01; raise study\.analysis\.num_samples, 64 now"):
        analysis.require_samples(found.effective, 0.01, 64)


def test_small_noise_leaves_the_projection_on_the_tangent_space():
    found, matrix = exact(noise.add_noise(jax.random.key(1), CLEAN, 0.003), 0.003, DISK)
    assert found.trace == pytest.approx(5, rel=0.1)
    assert found.effective > 1000
    tangents = disks.tangents(DISK, size=SIZE).reshape(5, -1)
    projection = tangents.T @ jnp.linalg.solve(tangents @ tangents.T, tangents)
    assert jnp.linalg.norm(matrix - projection) < 0.2 * jnp.linalg.norm(projection)
    values = jacobian.eigenbasis_of(matrix, CLEAN.shape).shrinkage
    assert values[4] > 0.8
    assert values[5] < 0.1


@pytest.fixture(scope="module")
def half():
    """Arrays of the study of the denoiser y / 2."""
    denoiser = Partial(lambda noisy, sigma: noisy / 2)
    keys = jax.random.split(jax.random.key(9), 100)
    images = jax.jit(jax.vmap(functools.partial(disks.sample, size=SIZE)))(keys)
    runs = {"half": Run(None, denoiser, lambda subset, number: images[:number], {"size": SIZE})}
    with jax.default_matmul_precision("highest"):  # as a command does: compiled once for both
        return STUDY.analyze(**OPTIONS)(runs, jax.random.key(0), progress=Progress())


def test_known_denoiser_has_its_trace_and_energy(half):
    np.testing.assert_allclose(half["trace"], 32, rtol=1e-5)
    np.testing.assert_allclose(half["energy"], 16, rtol=1e-5)
    np.testing.assert_allclose(half["shrinkage"], 0.5, rtol=1e-5)
    assert np.all(half["exact"].mean(0) > half["network"].mean(0))
    np.testing.assert_allclose(half["held"][:, 4], half["overlap"], atol=1e-5)
    np.testing.assert_allclose(half["held"][:, -1], 1, rtol=1e-4)
    assert half["exact_overlap"].shape == half["overlap"].shape == (2,)
    lines = {check.name: check for check in STUDY.check(half)}
    ratio = lines["largest tr J over the exact posterior's, sigma 0.01 to 0.1"]
    least = half["exact_trace"].mean(0)[:3].min()
    assert ratio.value == pytest.approx(32 / least, rel=1e-4)
    assert ratio.nulls["identity"] == pytest.approx(64 / least, rel=1e-4)
    np.testing.assert_allclose(
        half["trace/3x3 filter"], (9 / 2) ** 2, rtol=0.1
    )  # 1/2 a pixel and side, 3/4 at the ends
    assert np.all(np.diff(half["trace/linear"]) < 0)
    np.testing.assert_allclose(half["held/linear"][:, 4], half["overlap/linear"], atol=1e-5)
    np.testing.assert_allclose(half["network/identity"].mean(0), half["input_psnr"], atol=1)
    assert lines["output PSNR at 20 dB, dB"].theory["five dimensions"] == pytest.approx(20 + 10 * np.log10(64 / 5))


def test_no_image_has_a_key_twice(monkeypatch):
    """Disks, their noise and the proposals of their exact posteriors are drawn from keys of their own."""
    used = {}

    def draw(keys, size):
        used["disks"] = keys
        return jax.vmap(lambda key: DISK)(keys), jnp.stack([CLEAN] * len(keys))

    def curve_of_told(denoiser, key, clean, sigmas, **options):
        used["noise"] = jax.vmap(lambda i: jax.random.fold_in(key, i))(jnp.arange(len(clean)))

    def posteriors(noisy, sigma, keys, references, **options):
        used["proposals"] = keys
        raise StopIteration

    for name, function in dict(draw_disks=draw, curve_of_told=curve_of_told, posteriors=posteriors).items():
        monkeypatch.setattr(analysis, name, function)
    with pytest.raises(StopIteration):
        STUDY.analyze()({"run": Run(None, None, None, {"size": SIZE})}, jax.random.key(0), progress=Progress())
    keys = np.concatenate([jax.random.key_data(keys) for keys in used.values()])
    assert len(np.unique(keys, axis=0)) == len(keys) == 3 * 64


def test_a_standard_error_is_the_spread_over_keys(half):
    three = lambda value: jnp.stack([value] * 3)  # as `half`, which is compiled
    noisy, references = three(noise.add_noise(jax.random.key(1), CLEAN, 0.5)), jax.tree.map(three, DISK)
    options = dict(size=SIZE, num_samples=512, sharding=None)
    parts = jax.random.split(jax.random.key(6), (67, 3))
    with jax.default_matmul_precision("highest"):
        found = [analysis.posteriors(noisy, jnp.float32(0.5), keys, references, **options) for keys in parts]
    mean, error = (np.concatenate([getattr(each, name) for each in found]) for name in ("mean", "standard_error"))
    assert np.sqrt((error**2).mean()) == pytest.approx(np.sqrt(mean.var(0).mean()), rel=0.15)


def test_left_and_right_singular_vectors_are_told_apart():
    tangents = jnp.linalg.qr(disks.tangents(DISK, size=SIZE).reshape(5, -1).T)[0]
    other = jnp.linalg.qr(jax.random.normal(jax.random.key(3), (SIZE**2, 5)))[0]
    scales = jnp.array([3.0, 2.5, 2.0, 1.5, 1.0])
    found = analysis._compare((tangents * scales[None]) @ other.T, jnp.eye(SIZE**2), DISK, CLEAN)
    np.testing.assert_allclose(found["singular_values"][:6], [*scales, 0], atol=1e-5)
    assert found["left_overlap"] == pytest.approx(1, abs=1e-5)
    assert found["right_overlap"] == pytest.approx(float(jnp.sum((tangents.T @ other) ** 2)) / 5, abs=1e-5)


def test_marks_are_met_by_the_exact_posterior_and_missed_by_a_network_that_keeps_more(half):
    assert met(STUDY.check(half)) == []
    marks = dict(overlap=0.9, dimension_ratio=2.0, psnr_below_exact=3.0)
    same = {name: half[f"exact_{name}"] for name in ("overlap", "trace")} | {"network": half["exact"]}
    exact = half | same | {"overlap": np.array([0.95, 0.9])}
    checks = [check for check in STUDY.check(exact, **marks) if check.mark and check.met is not None]
    assert [check.met for check in checks] == [True, True, True]
    assert all(not check.met_by for check in checks)
    assert [check.value for check in checks[1:]] == pytest.approx([1, 0])
    worse = exact | {"overlap": np.array([0.95, 0.8]), "trace": 2.1 * exact["trace"], "network": exact["network"] - 3.1}
    assert met(STUDY.check(worse, **marks)) == [False, False, False]


def test_smoke_run_end_to_end(tmp_path):
    made = get_config(file="disks")
    made.runs.disks.data.size = SIZE
    made.study.analysis.update(OPTIONS)
    experiment.train(made, tmp_path)
    checks = experiment.study(made, tmp_path)
    assert (tmp_path / "figures" / "disks.png").exists()
    assert {"singular values 1 to 5", "share of |x|^2 in the 5 leading"} <= {check.name for check in checks}
    with np.load(tmp_path / "study.npz") as arrays:
        assert arrays["network"].shape == arrays["exact"].shape == (3, 5)
        assert np.isfinite(arrays["exact"]).all()
        assert arrays["effective"].min() >= 1
