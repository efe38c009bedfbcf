"""The study rates: errors of known expectation, and its marks."""

import jax
import numpy as np
import pytest
from conftest import get_config, met

from gahr import experiment
from gahr.classical import rates as formulas
from gahr.experiment.progress import Progress
from gahr.studies import rates

MARKS = dict(error_within=0.1, slope_within=0.05)


@pytest.fixture(scope="module")
def arrays():
    options = dict(alphas=(1.0, 3.0), size=12, num_levels=7, lowest=0.01, num_draws=1000)
    return rates.analyze(**options)({}, jax.random.key(0), progress=Progress())


def test_errors_of_both_oracles_are_those_of_their_formulas(arrays):
    for alpha in ("1", "3"):
        energy = arrays[f"{alpha}/energy"]
        assert energy.mean() == pytest.approx(1, rel=1e-5)
        for name, error in (("oracle", formulas.oracle_error), ("projection", formulas.projection_error)):
            expected = np.asarray(error(energy, arrays["sigmas"])) / 144
            np.testing.assert_allclose(arrays[f"{alpha}/{name}"].mean(0), expected, rtol=0.1)
        assert np.all(arrays[f"{alpha}/threshold"].mean(0) > arrays[f"{alpha}/projection"].mean(0))


def test_slopes_are_those_of_powers():
    sigmas = np.geomspace(1, 0.01, 5)
    np.testing.assert_allclose(rates.slopes(3 * sigmas**1.4, sigmas), 0.7)


def test_marks_are_met_by_the_formulas_and_missed_by_other_errors(arrays):
    assert all(met(rates.check(arrays, **MARKS)))
    assert {"alpha / (alpha + 1)"} == {name for check in rates.check(arrays, **MARKS) for name in check.nulls}
    steeper = {f"{alpha}/oracle": arrays[f"{alpha}/oracle"] * arrays["sigmas"] ** 0.2 for alpha in ("1", "3")}
    found = met(rates.check(arrays | steeper, **MARKS))
    assert not any(found[::4])  # errors
    assert not any(found[1::4])  # slopes


def test_the_config_is_drawn_at_smoke_scale(tmp_path):
    experiment.train(get_config("scale=smoke,alpha=2", file="rates"), tmp_path)
    experiment.study(get_config("scale=smoke,alpha=2", file="rates"), tmp_path)
    assert (tmp_path / "figures" / "rates.png").exists()


def test_what_cannot_be_meant_is_refused():
    for options, message in (
        (dict(lowest=2.0), "lowest must be between 0 and 1"),
        (dict(alphas=(0.0,)), "alphas must be positive"),
        (dict(num_draws=1), "num_draws must be at least 2"),
    ):
        with pytest.raises(ValueError, match=message):
            rates.analyze(**options)
