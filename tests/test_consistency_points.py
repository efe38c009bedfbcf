"""Points whose consistency function is known: the set, the quantile map, and the study of networks beside them."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config
from jax.tree_util import Partial

from gahr import experiment
from gahr.classical.analytic import mixture
from gahr.classical.flows import gaussian_flow, quantile_map
from gahr.data import modes
from gahr.denoiser import blind
from gahr.experiment.progress import Progress
from gahr.sampling import ode
from gahr.studies import STUDIES
from gahr.studies.consistency_points.analysis import law_of
from gahr.studies.shared.study import Run

KEY = jax.random.key(0)
MOST, LEAST = 10.0, 0.001


def test_the_quantile_map_keeps_quantiles_and_is_linear_for_one_mode():
    weights, means = jnp.array([0.2, 0.5, 0.3]), jnp.array([-0.4, 0.1, 0.5])
    drawn = jax.random.choice(KEY, means, (4_000,), p=weights)
    noisy = drawn + 1.5 * jax.random.normal(jax.random.key(1), (4_000,))
    f = jax.jit(quantile_map(weights, means, 0.05, sigma_min=LEAST))
    ends = np.asarray(f(noisy.reshape(-1, 1, 1, 1), jnp.float32(1.5))).ravel()
    shares = [np.mean(np.abs(ends - mean) < 0.15) for mean in means]
    np.testing.assert_allclose(shares, weights, atol=4 * 0.5 / np.sqrt(4_000))
    assert np.all(np.diff(ends[np.argsort(noisy)]) >= -1e-6)
    images, one = jax.random.normal(KEY, (5, 2, 3, 1)), jnp.ones(1)
    flow = gaussian_flow(jnp.full((2, 3, 1), 0.5), jnp.full(6, 0.09), jnp.eye(6).reshape(6, 2, 3, 1), sigma_min=LEAST)
    sigma = jnp.linspace(0.3, 2.0, 5)
    found = quantile_map(one, 0.5 * one, 0.3, sigma_min=LEAST)(images, sigma)
    np.testing.assert_allclose(found, flow(images, sigma), atol=2e-4)  # of the tails' resolution in float32


def _solved(law, noisy, sigma):
    """The exact function at any level, by the ODE of the exact denoiser."""
    high, low = jnp.broadcast_to(sigma, noisy.shape[:-3]).ravel()[0] ** (1 / 7), LEAST ** (1 / 7)
    levels = (high + jnp.linspace(0, 1, 100) * (low - high)) ** 7
    return ode.solve(mixture(*law), noisy, sigmas=levels)


def exact_run(size, noise_denoiser=None):
    points = jax.vmap(lambda key: modes.sample(key, size=size))(jax.random.split(KEY, 500))
    data = dict(name="modes", size=size)
    run = Run(None, None, lambda subset, number: points[:number], data, initial=blind(lambda noisy: noisy))
    exact = Partial(_solved, law_of(run))
    return run._replace(noise_denoiser=noise_denoiser or exact)


def test_the_exact_function_has_no_error_and_nulls_miss_the_marks():
    study, options = (
        STUDIES["consistency_points"],
        dict(num_points=60, num_jacobians=4, num_levels=100, num_scored=30),
    )
    runs = {"line_ect": exact_run(1), "plane_ect": exact_run(2)}
    arrays = study.analyze(**options)(runs, KEY, progress=Progress())
    marks = get_config("scale=laptop", file="consistency_points").study.marks.to_dict()
    checks = {check.name: check for check in study.check(arrays, **marks)}
    for words in ("five modes on a line, easy tuning", "five modes in the plane, easy tuning"):
        error, right = checks[f"{words}: median error of the end"], checks[f"{words}: share on the right mode"]
        assert error.value < 1e-3
        assert error.finding
        assert not error.met_by
        assert right.value > 0.98
        assert checks[f"{words}: median relative error of the Jacobian"].value < 0.02
        assert checks[f"{words}: cosine of leading left vectors"].value > 0.99
        assert checks[f"{words}: noise moved by 0.1 sigma, relative error of the answer"].value < 0.02
    # by symmetry the linear flow points at the right mode, which is why nothing is asked for there
    right = checks["five modes in the plane, easy tuning: share on the right mode"]
    assert right.nulls["linear"] > 0.9
    assert right.met is None
    assert checks["line: largest difference of the ODE and the quantile map"].value < 5e-3
    # the second level of an exact sampler changes nothing
    assert abs(arrays["plane/ect/scores"]).max() < 0.05
    study.draw(arrays)
    with pytest.raises(ValueError, match="runs must be line_METHOD"):
        study.analyze()({"teacher": runs["line_ect"]}, KEY, progress=Progress())


def test_smoke_run_end_to_end(tmp_path):
    made = get_config("scale=smoke", file="consistency_points")
    kept = ("plane_teacher", "plane_distil", "line_ct")
    made.runs = {name: run for name, run in made.runs.to_dict().items() if name in kept}
    experiment.train(made, tmp_path)
    checks = experiment.study(made, tmp_path)
    assert all(check.met is None for check in checks)
    assert (tmp_path / "figures" / "consistency_points.pdf").stat().st_size > 10_000
