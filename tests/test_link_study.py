"""The study link on denoisers whose basis is known, and its command at smoke scale."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config, met
from matplotlib import pyplot as plt

from gahr import experiment
from gahr.classical import cosines, rates
from gahr.classical.analytic import gaussian, mixture
from gahr.experiment.progress import Progress
from gahr.studies.link import STUDY
from gahr.studies.link.check import EIGEN, OWN, SWAPPED, fitted_numbers, in_basis, predict
from gahr.studies.shared.study import Run

SHAPE, SIZE, KEY = (8, 8, 1), 64, jax.random.key(0)
COSINES = cosines.basis(SHAPE)
A = 2.0
LAW = np.arange(1.0, SIZE + 1, dtype=np.float32) ** -(A + 1)


def images(subset, number):
    """Of coefficients that follow the power law in the cosines, with signs of their own."""
    signs = jax.random.rademacher(jax.random.key(7), (40, SIZE))[:number]
    return jnp.einsum("nk,khwc->nhwc", signs * np.sqrt(LAW)[None], COSINES)


def analysed(network, made=images, **options):
    runs = {"net": Run(None, network, made, {"alpha": 3.0}, initial=network)}
    options = dict(num_bases=3, num_images=20, num_fit=40, num_levels=3) | options
    return STUDY.analyze(**options)(runs, KEY, progress=Progress())


@pytest.fixture(scope="module")
def arrays():
    return analysed(gaussian(jnp.zeros(SHAPE), jnp.asarray(LAW), COSINES))


def test_a_filter_of_cosines_has_what_the_cosines_predict(arrays):
    levels = arrays["input_psnr"]
    np.testing.assert_allclose(levels, [20, 27, 34])
    for basis in (OWN, EIGEN, SWAPPED, "cosines"):
        energy = in_basis(arrays, "net", "network", basis)
        assert energy.shape == (3, 3, 2 if basis == SWAPPED else 1, SIZE)
        np.testing.assert_allclose(
            -np.sort(-energy, -1), LAW * np.ones((3, 3, energy.shape[2], 1)), rtol=0.02, atol=1e-7
        )
        found = predict(arrays, "net", "network", basis)
        sigmas = 10 ** (-levels / 20)
        risk = (sigmas[:, None] ** 2 * LAW / (LAW + sigmas[:, None] ** 2)).sum(1)
        assert found.risk.mean == pytest.approx(np.polyfit(levels, -10 * np.log10(risk), 1)[0], abs=2e-3)
        gains = LAW / (LAW + sigmas[:, None] ** 2)
        assert found.one_basis.mean == pytest.approx(((gains**2).sum(1) / gains.sum(1)).mean(), abs=2e-3)
        assert found.decay.mean == pytest.approx(A / (A + 1), abs=2e-3)
        assert (
            found.level.mean
            == pytest.approx(  # the best shrinkage of these images is this filter
                (-10 * np.log10(risk[:, None] / SIZE) - arrays["net/network/psnr"][:3].T).mean(), abs=0.02
            )
        )
    assert predict(arrays, "net", "network", "wavelets").risk.mean != pytest.approx(found.risk.mean, abs=0.02)
    assert fitted_numbers(1024) == (10, 307)


def test_the_bases_of_other_images_are_told_from_an_images_own():
    bases = jnp.linalg.qr(jax.random.normal(KEY, (2, SIZE, SIZE)))[0].reshape(2, SIZE, *SHAPE)
    spectrum = jnp.broadcast_to(jnp.geomspace(4, 1e-3, SIZE), (2, SIZE))
    network = mixture(jnp.full(2, 0.5), jnp.zeros((2, *SHAPE)), spectrum, bases)
    made = 3 * jnp.stack([bases[0, 0], bases[1, 0], bases[0, 1], bases[1, 1]])
    found = analysed(network, lambda subset, number: made[:number], num_images=4)
    np.testing.assert_allclose(in_basis(found, "net", "network", OWN).max(-1), 9, rtol=0.02)
    energy = in_basis(found, "net", "network", SWAPPED)  # of the images 0, 1, 2 in 1 and 2, 0 and 2, 0 and 1
    np.testing.assert_allclose(energy.max(-1)[:, [0, 2], [1, 0]], 9, rtol=0.02)
    assert energy.max(-1)[:, [0, 1, 1, 2], [0, 0, 1, 1]].max() < 4


def test_the_mark_is_the_distance_of_slopes_and_other_bases_are_its_nulls(arrays):
    checks = STUDY.check(arrays, slope_within=0.05)
    (line,) = [check for check in checks if check.met is not None]
    assert line.met is True
    assert list(line.nulls) == [EIGEN, SWAPPED, "PCA", "cosines", "wavelets"]
    assert {EIGEN, SWAPPED, "cosines"} <= set(line.met_by)  # the same here
    steeper = arrays | {"net/network/psnr": arrays["net/network/psnr"] + 0.1 * arrays["input_psnr"]}
    assert met(STUDY.check(steeper, slope_within=0.05)) == [False]
    slope = checks[0]
    assert slope.theory == {"alpha / (alpha + 1)": 0.75}
    assert set(slope.nulls) == {"linear", "untrained"}
    assert checks[1].value == pytest.approx(predict(arrays, "net", "network", OWN).one_basis.mean, abs=0.01)
    seven = {key.replace("net/", f"net{i}/"): value for i in range(7) for key, value in arrays.items() if "net/" in key}
    plt.close(STUDY.draw(seven | {"runs": np.array([f"net{i}" for i in range(7)]), "input_psnr": arrays["input_psnr"]}))


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_a_fit_finds_the_exponent_of_a_power_law_in_its_range_alone(alpha):
    law = rates.power_law(100, alpha=alpha)
    energy = jax.random.permutation(KEY, jnp.stack([jnp.asarray(law), jnp.where(jnp.arange(100) < 50, law, 1e-9)]), 1)
    np.testing.assert_allclose(rates.decay_exponent(energy, between=(2, 50)), alpha, atol=1e-3)
    assert rates.decay_exponent(energy, between=(2, 100))[1] > alpha + 1
    for between in ((0, 5), (5, 5), (5, 101)):
        with pytest.raises(ValueError, match="from 1 to 100"):
            rates.decay_exponent(energy, between=between)


def test_smoke_run_end_to_end(tmp_path):
    made = get_config("scale=smoke", file="link")
    experiment.train(made, tmp_path)
    checks = experiment.study(made, tmp_path)
    assert (tmp_path / "figures" / "link.pdf").stat().st_size > 10_000
    assert all(check.met is None for check in checks)
