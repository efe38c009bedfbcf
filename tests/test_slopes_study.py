"""The slopes study of the denoiser y / 2, whose curves are known, on images that say which subset they are of."""

import jax
import numpy as np
import pytest
from conftest import get_config
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


def half(noisy, sigma):
    return noisy / 2


@pytest.fixture(scope="module")
def arrays():
    """At 0 to 34 dB; the last of the ten levels asked for has less noise than the network was trained with."""
    runs = {"net": Run(None, Partial(half), images, {"alpha": 3.0}, subset="b", passes=4.0, sigma_min=10 ** (-1.7))}
    return slopes.STUDY.analyze(num_levels=10, highest_db=38.25)(runs, KEY, progress=Progress())


def mse(subset, sigmas):
    """Of y / 2 on the noise that image i is given at all levels, (2, S)."""
    clean = images(subset, 2)[..., None]
    return (
        np.mean((clean - sigmas * np.asarray(noise.standard_normal(KEY, clean[..., 0]))[..., None]) ** 2, (1, 2, 3)) / 4
    )


def test_every_curve_is_that_of_its_subset(arrays):
    sigmas = 10 ** (-arrays["input_psnr"] / 20)
    np.testing.assert_allclose(arrays["input_psnr"], np.linspace(0, 34, 9))
    for curve, subset in (("test", "test"), ("train", "b")):
        np.testing.assert_allclose(arrays[f"net/{curve}/network"], -10 * np.log10(mse(subset, sigmas)), rtol=1e-5)
    # training images are all 0.4: the linear denoiser that knows a mean makes 0.4 of everything, the other keeps of the
    # mean grey level what a second moment of 0.4^2 36 along it says
    clean, normal = images("test", 2), np.asarray(noise.standard_normal(KEY, images("test", 2)))
    grey = clean.mean((1, 2, 3))[:, None] + sigmas * normal.mean((1, 2, 3))[:, None]
    without = -20 * np.log10(np.abs(clean[:, 0, 0] - grey / (1 + sigmas**2 / (0.16 * 36))))
    with_mean = np.full((2, 9), -20 * np.log10(0.4))
    better = np.where(with_mean.mean(0) > without.mean(0), with_mean, without)
    np.testing.assert_allclose(arrays["net/test/linear"], better, atol=1e-3)
    np.testing.assert_allclose(arrays["net/test/identity"].mean(0), arrays["input_psnr"], atol=1)
    np.testing.assert_allclose(arrays["net/test/memorizer"], -20 * np.log10(0.4), atol=1e-3)
    assert "net/test/untrained" not in arrays
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
    assert arrays["net/slope/network"][inside].min() - theory[inside].max() > 0.3
    assert {check.name for check in checks.values() if check.met is not None} == {
        "net: |D(cy) - c D(y)| / |c D(y)|",
        "net: |J y - D(y)| / |D(y)|",
    }


def lines(arrays, **marks):
    """Checks by the start of their names."""
    return {check.name.partition(",")[0].partition(": ")[2]: check for check in slopes.STUDY.check(arrays, **marks)}


GAP = "largest train-test gap beyond the filter's"


def test_marks_are_held_against_slope_gain_and_gap(arrays):
    found = lines(arrays, slope_within=0.1, gain_over_wiener={"34": 10.0}, train_test_gap=0.5)
    assert found["slope of the network"].met is False  # 0.5 against 0.75
    gain = found["gain over linear at 34 dB"]
    assert gain.value == pytest.approx((arrays["net/test/network"] - arrays["net/test/linear"])[:, -1].mean())
    assert gain.met is False
    assert found[GAP].met is False
    gap = lambda who: arrays[f"net/train/{who}"].mean(0) - arrays[f"net/test/{who}"].mean(0)
    assert found[GAP].value == pytest.approx(np.abs(gap("network") - gap("3x3 filter")).max())
    figure = slopes.STUDY.draw(arrays, title="title")
    figure.canvas.draw()
    plt.close(figure)


def test_no_verdict_where_it_would_say_nothing(arrays):
    """Of a slope that the linear denoiser has as well, and of a gap between images and such as were seen once."""
    slope = slopes.exponents(3.0, 3.0)["class"]
    linear = np.stack([slope * arrays["input_psnr"]] * 2)
    found = lines(arrays | {"net/test/network": linear, "net/test/linear": linear}, slope_within=0.1)
    assert found["slope of the network"].met is None
    assert lines(arrays | {"net/test/network": linear}, slope_within=0.1)["slope of the network"].met is True
    assert lines(arrays | {"net/passes": np.array(1.3)}, train_test_gap=0.5)[GAP].met is None


def test_of_repeats_the_mean_is_held_to_the_mark_and_the_range_is_shown(arrays):
    own = {key.removeprefix("net/"): value for key, value in arrays.items() if key.startswith("net/")}
    twice = arrays | {"runs": np.array(["one", "two"]), "kinds": np.array(["net", "net"])}
    for name, factor in (("one", 1.0), ("two", 1.4)):
        twice |= {f"{name}/{key}": value * (factor if key == "test/network" else 1) for key, value in own.items()}
    check = slopes.STUDY.check(twice, slope_within=0.2)[0]
    assert check.name == "net (mean, range of 2): slope of the network, 20-34 dB"
    once = lines(arrays)["slope of the network"].value
    assert check.measured == pytest.approx((1.2 * once, None, once, 1.4 * once))
    assert check.met is True
    figure = slopes.STUDY.draw(twice)
    assert [text.get_text() for text in figure.subfigs[0].axes[0].get_legend().get_texts()].count("network, test") == 1
    plt.close(figure)
    runs = get_config("scale=smoke,alpha=1+3,repeats=2").runs
    assert [(run.variant, run.repeat) for run in runs.values()] == [(f"alpha{a}", i) for a in (1, 3) for i in (0, 1)]


def test_networks_of_one_exponent_are_told_apart_by_their_kind(arrays):
    own = {key.removeprefix("net/"): value for key, value in arrays.items() if key.startswith("net/")}
    both = arrays | {"runs": np.array(["one", "two"]), "kinds": np.array(["alpha3, unet", "alpha3, bfcnn"])}
    both |= {f"{name}/{key}": value for name in ("one", "two") for key, value in own.items()}
    figure = slopes.STUDY.draw(both)
    words = [text.get_text() for text in figure.subfigs[0].axes[0].get_legend().get_texts()]
    assert words[:2] == ["alpha3, unet", "alpha3, bfcnn"]
    plt.close(figure)
    runs = get_config("scale=smoke,alpha=1+3,model=unet+bfcnn").runs
    assert {name: run.variant for name, run in runs.items()} == {
        f"alpha{a}_{model}": f"alpha{a}, {model}" for a in (1, 3) for model in ("unet", "bfcnn")
    }
