"""The study samplers: its priors, its plans, the orders it finds, and its marks."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config, met

from gahr import experiment
from gahr.analysis import statistics
from gahr.denoiser import bind, bind_told
from gahr.experiment.progress import Progress
from gahr.sampling import driver
from gahr.studies import samplers
from gahr.studies.samplers import plans, priors
from gahr.studies.samplers.check import order
from gahr.studies.shared.study import Run

KEY = jax.random.key(0)
ENDS = dict(sigma_max=1.0, sigma_min=0.01)


@pytest.fixture(scope="module")
def arrays(trained, images):
    run = Run(bind(*trained), bind_told(*trained), lambda subset, number: images(KEY, number), {})
    analysis = samplers.analyze(
        samplers=("euler", "heun", "multistep", "blind"),
        evaluations=(16, 32),
        network_evaluations=(6, 8),
        size=8,
        num_samples=100,
        network_samples=40,
        num_fit=64,
    )
    return analysis({"run": run}, KEY, progress=Progress())


@pytest.mark.parametrize("make", [priors.power_law, priors.two_modes])
def test_samples_of_a_prior_have_its_moments_and_its_denoiser_is_the_posterior_mean(make):
    prior, sigma, number = make(8), 0.3, 20_000
    noisy = prior.draw(KEY, number, sigma)
    found, truth = statistics.moments(noisy, prior.vectors[:9]), prior.moments(sigma, 9)
    np.testing.assert_allclose(found.mean, truth.mean, atol=4 * np.sqrt(truth.covariance.max() / number))
    np.testing.assert_allclose(found.covariance, truth.covariance, atol=6 * truth.covariance.max() / number**0.5)
    residual = np.asarray(prior.noise_denoiser(noisy, sigma) - noisy)
    # Stein: E r x^T = -sigma^2 I for the residual D(y) - y = sigma^2 score
    rows, centred = (np.asarray(v).reshape(number, -1) for v in (residual, noisy - prior.mean[None]))
    along = np.asarray(prior.vectors[:9]).reshape(9, -1)
    np.testing.assert_allclose((rows @ along.T).T @ (centred @ along.T) / number, -(sigma**2) * np.eye(9), atol=0.02)
    start = prior.start()
    spread = np.sum(np.asarray(start["factor"], np.float64) ** 2)
    exact = prior.moments(0.0, 64)
    assert spread == pytest.approx(np.trace(exact.covariance), rel=1e-4)
    assert prior.offset.any() == (make is priors.two_modes)
    if prior.offset.any():
        assert prior.light_share(noisy) == pytest.approx(0.3, abs=0.015)


@pytest.mark.parametrize("name", [*plans._STEPS])
@pytest.mark.parametrize("calls", [8, 32])
def test_a_plan_calls_the_denoiser_as_often_as_it_says(name, calls):
    seen = []

    def denoiser(noisy, *sigma):
        jax.debug.callback(lambda: seen.append(1))
        return jnp.full_like(noisy, 0.5)

    plan = plans.sampler(name, calls, **ENDS)
    _, trace = jax.jit(lambda key: driver.sample(plan, denoiser, key, (1, 16, 16, 1)))(KEY)
    jax.effects_barrier()
    assert trace.sigma[0, 0] == pytest.approx(2**0.5 if name == "edm" else 1, rel=0.1)  # EDM adds noise first
    most = calls + 1 + 2 * (name == "blind")  # one more to see that it ends; the noise scatters
    assert most - 4 <= len(seen) <= most


def test_solvers_of_the_ode_have_their_orders_and_exact_samples_the_smallest_distance(arrays):
    found = {name: order(arrays, name) for name in ("euler", "heun", "multistep")}
    for name, expected in plans.ORDERS.items():
        assert found[name] == pytest.approx(expected, abs=0.4)
    assert arrays["Gaussian/multistep/error"][-1] < arrays["Gaussian/euler/error"][-1] / 5
    assert arrays["Gaussian/heun/frechet"][-1] == pytest.approx(float(arrays["Gaussian/floor"]), rel=0.5)
    assert "Gaussian/blind/frechet" not in arrays
    assert arrays["network/blind/frechet"].shape == (2,)


def test_controls_are_what_they_are_called(arrays):
    assert arrays["sets/nearest images/nearest"] == pytest.approx(1, abs=1e-5)
    assert arrays["sets/held-out images/nearest"] == pytest.approx(1, abs=1e-5)  # here they are the training images
    assert arrays["sets/network/nearest"] < 0.999
    linear, same = (arrays[f"sets/{name}/frechet"] for name in ("linear denoiser", "Gaussian samples"))
    assert linear == pytest.approx(same, rel=0.7)
    assert arrays["sets/held-out images/kurtosis"] > 2 * arrays["sets/Gaussian samples/kurtosis"]


def test_marks(arrays):
    marks = dict(order_within=0.4, kurtosis_share=0.5, similarity_excess=0.05)
    of = lambda like: {f"sets/network/{q}": arrays[f"sets/{like}/{q}"] for q in ("kurtosis", "nearest")}
    checks = samplers.check(arrays | of("held-out images"), **marks)
    assert met(checks) == [True] * 5
    assert all(check.met_by == () for check in checks if check.nulls and "kurtosis" in check.name)
    assert met(samplers.check(arrays | of("Gaussian samples"), **marks))[3:] == [False, True]


def test_the_config_is_trained_and_drawn_at_smoke_scale(tmp_path):
    config = get_config(file="samplers")
    experiment.train(config, tmp_path)
    experiment.study(config, tmp_path)
    assert (tmp_path / "figures" / "samplers.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(samplers=("euler",)), "samplers must hold heun, got euler"),
        (dict(samplers=("heun", "huen")), "unknown sampler 'huen'; did you mean heun?"),
        (dict(evaluations=(2,)), "evaluations must be 4 at least"),
        (dict(num_fit=10), "num_fit must be at least 50"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        samplers.analyze(**options)
