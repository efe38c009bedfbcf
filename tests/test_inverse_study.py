"""The study inverse on Gaussian images, where the linear answer is the best there is; its images, config and marks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config, met

from gahr import noise
from gahr.classical.analytic import gaussian
from gahr.denoiser import blind
from gahr.experiment.progress import Progress
from gahr.sampling import measurements
from gahr.studies import inverse
from gahr.studies.inverse.analysis import METHODS, _projection, _test_images
from gahr.studies.inverse.linear import blind_linear
from gahr.studies.samplers import priors
from gahr.studies.shared.study import Run

KEY = jax.random.key(0)
SIZE = 16
PRIOR = priors.power_law(SIZE)
LAW = PRIOR.mean, PRIOR.eigenvalues, PRIOR.vectors
TASKS = dict(random_pixels=dict(fraction=0.3), block_means=dict(factor=2))


def images(subset, number):
    return PRIOR.draw(jax.random.fold_in(KEY, len(subset)), number, 0.0)


@pytest.fixture(scope="module")
def arrays():
    denoiser = blind_linear(*LAW, sigma_min=0.01, sigma_max=2.0)
    run = Run(denoiser, blind(denoiser), images, {})
    options = dict(num_images=3, num_samples=4, num_fit=1_000, beta=0.5, sigma_stop=0.05)
    return inverse.analyze(tasks=TASKS, **options)({"run": run}, KEY, progress=Progress())


@pytest.mark.parametrize("sigma", [0.05, 0.5])
def test_not_to_be_told_the_noise_level_costs_the_linear_denoiser_little(sigma):
    clean = images("test", 8)
    noisy = noise.add_noise(KEY, clean, sigma)
    found = blind_linear(*LAW, sigma_min=0.01, sigma_max=2.0)(noisy)
    mse = lambda denoised: float(jnp.mean((denoised - clean) ** 2))
    assert mse(found) < 1.1 * mse(gaussian(*LAW)(noisy, sigma))


def test_the_projection_measures_what_the_measurement_does():
    exact = measurements.block_means((SIZE, SIZE, 1), factor=4)
    dense, clean = _projection(exact), images("test", 2)
    np.testing.assert_allclose(dense.measure(clean), exact.project(clean), atol=1e-5)
    np.testing.assert_allclose(dense.project(clean), exact.project(clean), atol=1e-5)


def test_the_linear_answer_is_the_best_for_gaussian_images_and_means_of_samples_come_near_it(arrays):
    psnr = dict(zip(METHODS, np.moveaxis(arrays["psnr"], 1, 0).mean(2), strict=True))  # (T,) each
    best = psnr["Wiener"]
    for method in METHODS:
        assert np.all(psnr[method] < best + 0.3), method
    assert psnr["one sample"][0] > psnr["pseudo-inverse"][0] + 1
    below = best - psnr["one sample"]  # an exact sample has twice the error of the mean, 3 dB; the ascent's vary less
    assert np.all((below > 1) & (below < 4))
    assert np.all(psnr["mean of samples"] > psnr["one sample"] + 0.5)
    assert np.all(psnr["mean of samples"] > best - 1.5)
    np.testing.assert_allclose(psnr["linear, mean"], psnr["mean of samples"], atol=1)  # the same but for the fit
    assert arrays["singles/psnr"].shape == arrays["steps"].shape == (2, 3, 4)
    assert not arrays["diverged"].any()
    np.testing.assert_allclose(
        arrays["singles/psnr"][..., 0], arrays["psnr"][:, METHODS.index("one sample")], rtol=1e-6
    )


def test_every_method_but_guidance_and_the_linear_one_keeps_what_was_measured(arrays):
    shown = arrays["shown/block_means"]
    means = lambda image: image.reshape(SIZE // 2, 2, SIZE // 2, 2).mean((1, 3))
    for method in ("pseudo-inverse", "Wiener", "plug-and-play", "one sample", "mean of samples"):
        np.testing.assert_allclose(means(shown[METHODS.index(method)]), means(arrays["clean"]), atol=2e-3)


def test_marks(arrays):
    marks = dict(gain=dict(random_pixels=1.0), averaging_gain=0.5, over_wiener=0.0)
    assert met(inverse.check(arrays, **marks)) == [True, True, False]  # nothing is above the linear answer here
    told = arrays | {"psnr": np.full_like(arrays["psnr"], 20), "singles/psnr": np.full_like(arrays["singles/psnr"], 20)}
    assert met(inverse.check(told, **marks)) == [False, False, True]


def test_test_images_are_middle_squares_of_any_file(tmp_path):
    tall = np.arange(6 * 20, dtype=np.uint8).reshape(20, 6)
    np.savez(tmp_path / "named.npz", a=tall, b=tall.T)
    found = _test_images(str(tmp_path / "named.npz"), 2, 4)
    np.testing.assert_allclose(found[0, ..., 0] * 255, tall[8:12, 1:5], atol=1e-4)
    np.testing.assert_allclose(found[1, ..., 0] * 255, tall.T[1:5, 8:12], atol=1e-4)
    with pytest.raises(ValueError, match="holds 2 images, 3 are asked for"):
        _test_images(str(tmp_path / "named.npz"), 3, 4)
    with pytest.raises(ValueError, match="size must be at most 6"):
        _test_images(str(tmp_path / "named.npz"), 1, 8)


def test_the_config_knows_published_networks_and_its_own(tmp_path):
    (tmp_path / "net.npz").touch()
    config = get_config(f"weights={tmp_path}/net.npz,size=48,beta=0.05", file="inverse")
    assert not config.runs
    assert config.study.analysis.to_dict() | dict(size=48, beta=0.05, num_samples=4) == config.study.analysis.to_dict()
    assert config.study.analysis.tasks.hole.side == 16
    with pytest.raises(ValueError, match="path= belongs to weights= of published networks"):
        get_config("path=x.npz", file="inverse")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(tasks=dict(holes={})), "unknown task 'holes'"),
        (dict(tasks=TASKS, num_samples=1), "num_samples must be at least 2"),
        (dict(tasks=TASKS, weights="missing.npz"), "weights: there is no file missing.npz"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        inverse.analyze(**options)
