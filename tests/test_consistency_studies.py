"""The studies of consistency models on Gaussian images, whose flow is linear and known, and nulls in their place."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config

from gahr.classical.analytic import fit_gaussian, gaussian
from gahr.classical.flows import gaussian_flow
from gahr.denoiser import blind
from gahr.experiment.progress import Progress
from gahr.studies import STUDIES
from gahr.studies.shared.study import Run

KEY = jax.random.key(0)
SIDE = 8
LEAST = 0.002
SCALES = np.fft.fftfreq(SIDE, 1 / SIDE)
POWER = 1 / (1 + SCALES[:, None] ** 2 + SCALES[None] ** 2) ** 1.5


@pytest.fixture(scope="module")
def images():
    """Stationary Gaussian images about mid-grey."""
    white = jax.random.normal(KEY, (2_000, SIDE, SIDE))
    return 0.5 + jnp.fft.ifft2(jnp.fft.fft2(white) * jnp.sqrt(POWER)[None]).real[..., None]


def run_of(noise_denoiser, images):
    return Run(
        None,
        noise_denoiser,
        lambda subset, number: images[:number] if subset == "test" else images[-number:],
        {},
        initial=blind(lambda noisy: noisy),
    )


@pytest.fixture(scope="module")
def runs(images):
    law = fit_gaussian(images)
    return {
        "teacher": run_of(gaussian(*law), images),
        "student": run_of(gaussian_flow(*law, sigma_min=LEAST), images),
    }


def analysed(name, runs, **options):
    return STUDIES[name].analyze(sigma_min=LEAST, num_fit=2_000, **options)(runs, KEY, progress=Progress())


def line(checks, words):
    (found,) = [check for check in checks if check.name.startswith(words)]
    return found


def marks(study):
    return get_config("scale=laptop", file="consistency").study[study].marks.to_dict()


def test_one_step_of_the_exact_flow_is_the_end_of_the_ode_and_nulls_miss_the_mark(runs):
    options = dict(num_samples=40, num_levels=40, sigma_max=10.0)
    arrays = analysed("consistency", runs, **options)
    checks = STUDIES["consistency"].check(arrays, **marks("consistency"))
    agreement = line(checks, "one step from sigma = 10 and the end of the ODE: cosine")
    assert agreement.value > 0.999
    assert agreement.met
    assert set(agreement.nulls) - set(agreement.met_by) >= {
        "teacher",
        "untrained",
    }  # of Gaussian images linear is exact
    lead = line(checks, "the same above the linear flow")  # which is what this student is
    assert lead.value == pytest.approx(0, abs=0.5)
    assert not lead.met_by
    assert lead.met is False
    assert line(checks, "least agreement").value > 0.999
    assert line(checks, "largest |f(y, sigma_min) - y|").met
    assert abs(line(checks, "similarity of one step and two").value) < 1
    lazy = runs | {"student": runs["teacher"]}
    checks = STUDIES["consistency"].check(analysed("consistency", lazy, **options), **marks("consistency"))
    assert not line(checks, "one step from sigma = 10 and the end of the ODE: cosine").met
    STUDIES["consistency"].draw(arrays)


def test_singular_values_of_the_exact_flow_are_the_roots_of_the_denoisers(runs):
    arrays = analysed("consistency_svd", runs, sigma=0.5, num_images=3, num_memorized=20)
    values = {who: arrays[f"{who}/singular_values"] for who in ("student", "teacher")}
    np.testing.assert_allclose(values["student"] ** 2, values["teacher"], rtol=1e-3)
    checks = STUDIES["consistency_svd"].check(arrays, **marks("consistency_svd"))
    assert line(checks, "slope of ln s_k of the consistency model on").value == pytest.approx(0.5, abs=1e-3)
    assert line(checks, "overlap of 10 leading").value == pytest.approx(1, abs=1e-3)
    assert line(checks, "cosine of left and right").value == pytest.approx(1, abs=1e-3)
    for words in ("the same less that at another image", "student: dimension in another's / own left"):
        found = line(checks, words)  # a fixed linear map is adapted to nothing
        assert found.met is False
        assert "linear" not in found.met_by
    STUDIES["consistency_svd"].draw(arrays)


def test_answers_of_the_exact_flow_follow_the_spectrum_and_add_up(runs):
    arrays = analysed("steering", runs, sigma=2.0, num_noises=4)
    checks = STUDIES["steering"].check(arrays, **marks("steering"))
    # a sine of a stationary law is no single principal vector of a sample, but nearly
    assert line(checks, "gain of sines at 0.3 sd over").value == pytest.approx(1, abs=0.1)
    assert line(checks, "correlation of their logarithms").value > 0.98
    assert line(checks, "departure from additivity").met is False
    # the same sines are a larger part of less noise; fails where the level or the amplitude is not scaled
    ((strong, _), (weak, _)) = (
        line(
            checks, f"similarity to the undisturbed output, unit sines of the report at sigma = {level}"
        ).measured.values()
        for level in ("2.65", "14")
    )
    assert strong < weak < 1
    free = arrays["student/unsphered"]
    np.testing.assert_allclose(free / free[:, :1, :1], 1, rtol=0.02)  # one gain at all amplitudes and noises
    np.testing.assert_array_equal(arrays["student/gain"], arrays["linear/gain"])
    predicted, reached = arrays["steered"][0].mean(-1)
    assert 0.2 < predicted < 1
    assert reached == pytest.approx(predicted, abs=0.1)
    assert line(checks, "straightness of outputs").value == pytest.approx(2 * np.sqrt(2) / np.pi, abs=0.1)  # of an arc
    STUDIES["steering"].draw(arrays)


def test_runs_that_are_missing_are_named(runs):
    for name in ("consistency", "consistency_svd", "steering"):
        with pytest.raises(ValueError, match=r"there is no student|needs a run named student"):
            analysed(name, {"teacher": runs["teacher"]})
