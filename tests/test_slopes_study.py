"""The slopes study of the denoiser y / 2, whose curves are known, on images that say which subset they are of."""

import jax
import numpy as np
import pytest
from jax.tree_util import Partial
from matplotlib import pyplot as plt

from gahr import noise
from gahr.experiment.progress import Progress
from gahr.studies import slopes
from gahr.studies.shared.study import Run

GREY = {"b": (0.4, 0.4), "test": (0.0, 0.8)}  # of two images each; those of training have no variance
KEY = jax.random.key(0)


def images(subset, number):
    assert number >= 2
    return np.ones((2, 6, 6, 1), np.float32) * np.reshape(GREY[subset], (2, 1, 1, 1)).astype(np.float32)


@pytest.fixture(scope="module")
def arrays():
    half = Partial(lambda noisy, sigma: noisy / 2)
    runs = {"net": Run(None, half, images, {"alpha": 3.0}, subset="b")}
    return slopes.STUDY.analyze(num_levels=9)(runs, KEY, progress=Progress())


def mse(subset, sigmas):
    """Of y / 2 on the noise that image i is given at all levels, (2, S)."""
    clean = images(subset, 2)[..., None]
    return (
        np.mean((clean - sigmas * np.asarray(noise.standard_normal(KEY, clean[..., 0]))[..., None]) ** 2, (1, 2, 3)) / 4
    )


def test_every_curve_is_that_of_its_subset(arrays):
    sigmas = 10 ** (-arrays["input_psnr"] / 20)
    for curve, subset in (("test", "test"), ("train", "b")):
        np.testing.assert_allclose(arrays[f"net/{curve}"], -10 * np.log10(mse(subset, sigmas)), rtol=1e-5)
    # fitted to training images that are all 0.4, the linear denoiser makes 0.4 of everything
    np.testing.assert_allclose(arrays["net/wiener"], -20 * np.log10(0.4), atol=1e-3)
    np.testing.assert_allclose(arrays["net/shown_wiener"], 0.4, atol=1e-5)
    np.testing.assert_array_equal(arrays["net/shown_clean"], images("test", 2))
    np.testing.assert_allclose(arrays["net/shown_network"], arrays["net/shown_noisy"] / 2)


def test_the_identity_is_held_against_the_slope_of_the_mean_mse(arrays):
    sigmas, inside = 10 ** (-arrays["input_psnr"] / 20), arrays["input_psnr"] >= 20
    theory = np.gradient(np.log(mse("test", sigmas).mean(0)), 2 * np.log(sigmas))  # not that of the mean PSNR, near 1/2
    np.testing.assert_allclose(arrays["net/mse_slope"], theory, atol=1e-4)
    np.testing.assert_allclose(arrays["net/identity"], 0.5, rtol=1e-5)
    checks = {check.name: check for check in slopes.STUDY.check(arrays)}
    line = checks["net: slope from |J|^2 / tr J, 20-34 dB"]
    assert line.theory["slope of the mean mse"].high == pytest.approx(theory[inside].max(), abs=1e-4)
    assert line.value == pytest.approx(0.5)
    assert arrays["net/test_slope"][inside].min() - theory[inside].max() > 0.3
    assert {check.name for check in checks.values() if check.met is not None} == {
        "net: |D(cy) - c D(y)| / |c D(y)|",
        "net: |J y - D(y)| / |D(y)|",
    }


def test_marks_are_held_against_slope_gain_and_gap(arrays):
    marks = dict(slope_within=0.1, gain_over_wiener={"34": 10.0}, train_test_gap=0.5)
    met = {check.name: check.met for check in slopes.STUDY.check(arrays, **marks)}
    assert met["net: slope of the network, 20-34 dB"] is False  # 0.5 against 0.75
    assert met["net: gain over linear at 34 dB, dB"] is True  # 7.96 and 40 dB against 7.96
    assert met["net: largest train-test gap, dB"] is False
    figure = slopes.STUDY.draw(arrays, title="title")
    figure.canvas.draw()
    plt.close(figure)
