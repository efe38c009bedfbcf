"""The study miyasawa: priors written down twice, and its marks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config, met

from gahr import experiment
from gahr.experiment.progress import Progress
from gahr.studies import miyasawa
from gahr.studies.miyasawa.analysis import denoisers, priors, sample

MARKS = dict(field_within=1e-3, sure_within=4.0, kl_within=0.1)


@pytest.fixture(scope="module")
def arrays():
    return miyasawa.analyze(**get_config(file="miyasawa").study.analysis)({}, jax.random.key(0), progress=Progress())


def test_densities_integrate_to_one(arrays):
    cell = (1.3 / 19) ** 2
    for name in ("point", "points", "mixture"):
        assert arrays[f"{name}/density"].sum() * cell == pytest.approx(1, abs=0.03)


def test_the_score_of_one_point_leads_to_it(arrays):
    expected = (np.array([0.25, 0.3]) - arrays["grid"]) / 0.12**2
    np.testing.assert_allclose(arrays["point/score"], expected, atol=1e-3 * abs(expected).max())


def test_samples_have_the_moments_of_the_linear_denoiser():
    """Those it shrinks with; the identity's error is sigma^2, and none is below that of the exact denoiser."""
    prior = priors()["mixture"]
    images = np.asarray(sample(jax.random.key(1), prior, 40_000)).reshape(-1, 2)
    linear = denoisers()["a Gaussian"]
    mean, covariance, sigma = images.mean(0), np.cov(images.T), 0.1
    shrink = covariance @ np.linalg.inv(covariance + sigma**2 * np.eye(2))
    expected = mean + shrink @ (np.array([0.9, 0.1]) - mean)
    found = linear(jnp.array([0.9, 0.1]).reshape(1, 1, 2, 1), jnp.float32(sigma))
    np.testing.assert_allclose(np.ravel(found), expected, atol=0.01)


def test_errors_of_denoisers(arrays):
    np.testing.assert_allclose(arrays["identity/mse"].mean(1), [0.0025, 0.09], rtol=0.1)
    least = arrays["exact/mse"].mean(1)
    for name in ("three points", "a Gaussian", "identity"):
        assert np.all(arrays[f"{name}/mse"].mean(1) > least)
    np.testing.assert_allclose(arrays["exact/gap"], 0, atol=1e-12)
    divergence = arrays["identity/sure"] - arrays["identity/residual"]
    expected = np.broadcast_to(2 * arrays["sigmas"][:, None] ** 2, (2, 2000))
    np.testing.assert_allclose(divergence, expected, rtol=1e-5)


def test_marks_are_met_by_the_formulas_and_missed_by_those_of_the_report(arrays):
    checks = miyasawa.check(arrays, **MARKS)
    assert all(met(checks))
    assert all(check.finding for check in checks if check.met is not None)
    wrong = {f"{name}/score_error": arrays["points/unweighted_error"] for name in ("point", "points", "mixture")}
    wrong |= {f"{name}/hessian_error": arrays["points/as_covariance"] for name in ("point", "points", "mixture")}
    wrong |= {f"{name}/sure": arrays[f"{name}/residual"] for name in arrays["denoisers"].tolist()}
    wrong["kl"] = np.array([arrays["kl_wrong"], *arrays["kl"][1:]])
    assert not any(met(miyasawa.check(arrays | wrong, **MARKS)))


def test_the_config_is_drawn_at_smoke_scale(tmp_path):
    config = get_config(file="miyasawa")
    experiment.train(config, tmp_path)
    experiment.study(config, tmp_path)
    assert (tmp_path / "figures" / "miyasawa.png").exists()


def test_what_cannot_be_meant_is_refused():
    for options, message in (
        (dict(sigma=0.0), "sigma and sigmas must be positive"),
        (dict(num_levels=2), "num_levels must be at least 10"),
    ):
        with pytest.raises(ValueError, match=message):
            miyasawa.analyze(**options)
