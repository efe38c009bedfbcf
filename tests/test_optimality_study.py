"""The study optimality: optima that are known, and its marks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config, met

from gahr import experiment
from gahr.classical.shrinkage import wiener
from gahr.classical.transforms import fourier
from gahr.denoiser import blind
from gahr.experiment.progress import Progress
from gahr.studies import optimality
from gahr.studies.shared.study import Run

MARKS = dict(over_classical=0.5, optimum_within=1.0, above_optimum=4.0)


@pytest.fixture(scope="module")
def arrays(images, denoiser):
    run = Run(
        denoiser,
        blind(denoiser),
        lambda subset, number: images(jax.random.key(subset == "test"), number),
        {},
    )
    options = get_config(file="optimality").study.analysis
    return optimality.analyze(**options)({"net": run}, jax.random.key(0), progress=Progress())


def test_fields_have_the_spectrum_of_their_optimum(images):
    """Its Wiener filter loses what theory says, and any other one more."""
    like = images(jax.random.key(0), 64)
    fields, spectrum, mean = optimality._fields(jax.random.key(3), like, 2000, -2.0)
    assert float(fields.mean()) == pytest.approx(float(like.mean()), abs=0.02)
    transformed = fourier().analysis(fields - mean[None])
    ratio = np.mean(np.asarray(transformed) ** 2, 0)[np.asarray(spectrum) > 0] / np.asarray(spectrum)[spectrum > 0]
    np.testing.assert_allclose(ratio, 1, atol=0.2)
    sigma = 0.2
    noisy = fields + sigma * jax.random.normal(jax.random.key(4), fields.shape)
    error = [float(jnp.mean((wiener(fourier(), k * spectrum, mean=mean)(noisy, sigma) - fields) ** 2)) for k in (1, 3)]
    assert error[0] == pytest.approx(float(jnp.mean(sigma**2 * spectrum / (spectrum + sigma**2))), rel=0.03)
    assert error[0] < error[1]


def test_the_optimum_on_points_is_their_posterior_mean(arrays):
    np.testing.assert_allclose(arrays["training images/points/loss"], 0, atol=1e-6)
    np.testing.assert_array_equal(arrays["training images/optimum"], arrays["training images/points"])
    assert np.all(arrays["training images/net/loss"] > 0)


def test_denoisers_are_compared_on_the_same_images(arrays):
    assert set(arrays["images/names"]) == {"net", *optimality._LOOKS}
    assert list(arrays["Gaussian fields/names"])[:2] == ["optimum", "net"]
    assert optimality.gap(arrays, "images", "oracle, cosines", "cosines").mean(0).min() > 0.5  # it knows the image
    assert "images/optimum" not in arrays
    assert "Gaussian fields/oracle, cosines/loss" not in arrays


def test_the_divergence_is_an_integral_over_the_logarithm():
    sigmas = np.geomspace(0.1, 1, 50)
    values = optimality.divergence({"a/b/loss": np.tile(sigmas**2, (3, 1)), "sigmas": sigmas}, "a", "b")
    assert values.mean == pytest.approx((1 - 0.01) / 2, rel=1e-3)


def test_marks_are_met_by_the_optimum_and_missed_by_what_is_not_or_knows_the_image(arrays):
    linear, classical, optimum = "linear, principal components", "bandlets, 8 shifts", "optimum"
    good = {
        "images/net": np.maximum(arrays[f"images/{classical}"], arrays[f"images/{linear}"]) + 3,
        f"Gaussian fields/{linear}": arrays["Gaussian fields/optimum"] - 0.1,
    }
    assert met(optimality.check(arrays | good, **MARKS)) == [True, True, True]
    bad = {
        "images/net": arrays[f"images/{linear}"] + 0.1,
        f"Gaussian fields/{linear}": arrays[f"Gaussian fields/{optimum}"] - 2,
        "Gaussian fields/points": arrays["Gaussian fields/oracle, cosines"] + 1,
    }
    assert met(optimality.check(arrays | bad, **MARKS)) == [False, False, False]


def test_the_config_is_drawn_at_smoke_scale(tmp_path):
    config = get_config(file="optimality")
    experiment.train(config, tmp_path)
    experiment.study(config, tmp_path)
    assert (tmp_path / "figures" / "optimality.png").exists()


def test_what_cannot_be_meant_is_refused():
    for options, message in (
        (dict(num_points=3), "num_points must be at least num_images, 16"),
        (dict(sigmas=(0.2, 0.1)), "sigmas must be two positive, increasing"),
    ):
        with pytest.raises(ValueError, match=message):
            optimality.analyze(**options)
