"""The study langevin: its exact numbers, what the three dynamics find, and its marks."""

import jax
import numpy as np
import pytest
from conftest import get_config, met

from gahr import experiment
from gahr.experiment.progress import Progress
from gahr.studies import langevin

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def arrays():
    return langevin.analyze(num_samples=400, num_levels=8, steps_per_level=(1, 40))({}, KEY, progress=Progress())


@pytest.mark.parametrize("sigma", [0.006, 0.2])
def test_the_numbers_of_exact_samples_are_those_of_samples(arrays, sigma):
    samples = langevin._exact(KEY, 100_000, 0.2, sigma)
    found, truth = langevin._describe(samples), langevin.exact(arrays, sigma)
    assert found["weight"] == pytest.approx(truth.weight, abs=0.005)
    assert truth.error == pytest.approx((truth.weight * (1 - truth.weight) / 400) ** 0.5)
    if sigma < 0.1:  # where all are nearer to their own
        assert found["distance"] == pytest.approx(truth.distance, rel=0.01)


def test_annealing_finds_the_weights_and_one_small_level_keeps_those_of_the_start(arrays):
    small, between = (str(name) for name in arrays["names"][1:])
    assert np.abs(arrays[f"{small}/weight"] - 0.5).max() < 4 * (0.25 / 400) ** 0.5  # the start is symmetric
    assert langevin.errors(arrays, "annealed")[-1] < 0.1
    assert langevin.errors(arrays, between)[-1] < 0.1
    assert arrays["annealed/steps"].tolist() == [8, 320]
    truth = langevin.exact(arrays, 0.006)
    assert arrays["annealed/distance"][-1] == pytest.approx(truth.distance, rel=0.2)
    assert arrays[f"{between}/distance"][-1] > 2 * truth.distance
    assert arrays["exact samples/distance"] == pytest.approx(truth.distance, rel=0.1)


def test_marks_are_met_by_the_truth_and_missed_by_one_level(arrays):
    marks = dict(weight_within=0.03, error_at_one_level=0.15, distance_within=0.1)
    small = str(arrays["names"][1])
    for like, expected in (("exact samples", True), (small, False)):
        weight, distance = (np.atleast_1d(arrays[f"{like}/{quantity}"])[-1:] for quantity in ("weight", "distance"))
        told = {"annealed/weight": np.repeat(weight, 2), "annealed/distance": np.repeat(distance, 2)}
        checks = langevin.check(arrays | told, **marks)
        assert met(checks) == [expected, True, expected]


def test_the_config_is_drawn_at_smoke_scale(tmp_path):
    experiment.train(get_config(file="langevin"), tmp_path)
    experiment.study(get_config(file="langevin"), tmp_path)
    assert (tmp_path / "figures" / "langevin.png").exists()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (dict(light=0.5), "light must be between 0 and 0.5"),
        (dict(fraction=2.0), "fraction must be between 0 and 2"),
        (dict(num_samples=10), "num_samples must be at least 100"),
    ],
)
def test_what_cannot_be_meant_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        langevin.analyze(**options)
