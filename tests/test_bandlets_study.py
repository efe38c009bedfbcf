"""The study bandlets: what it measures is what it says, and its marks."""

import jax
import numpy as np
import pytest
from conftest import get_config, met

from gahr import experiment
from gahr.classical import wavelets
from gahr.experiment.progress import Progress
from gahr.studies import bandlets
from gahr.studies.bandlets.analysis import LABELS, gain

MARKS = dict(coefficients=0.95, gain_of_shifts=0.5, gain_of_geometry=0.3)


@pytest.fixture(scope="module")
def arrays():
    options = dict(
        size=32,
        num_images=3,
        levels=1,
        sizes=(4, 8),
        thresholds=(0.4, 0.1),
        sigmas=(0.05, 0.1, 0.2),
        factors=(2.0, 3.0),
    )
    return bandlets.analyze(**options)({}, jax.random.key(0), progress=Progress())


def test_what_is_kept_of_the_images(arrays):
    """Of the first image, by hand; bandlets keep less of it at less cost."""
    details = np.asarray(wavelets.analysis(arrays["clean"], levels=1))[wavelets.bands((32, 32, 1), levels=1) > 0]
    for i, threshold in enumerate((0.4, 0.1)):
        lost = details[abs(details) <= threshold]
        assert arrays["wavelets/number"][0, i] == details.size - lost.size
        np.testing.assert_allclose(arrays["wavelets/psnr"][0, i], -10 * np.log10(np.sum(lost**2) / 1024), atol=1e-3)
        cost = np.sum(lost**2) + threshold**2 * (details.size - lost.size)
        np.testing.assert_allclose(arrays["wavelets/cost"][0, i], cost, rtol=1e-4)
    assert np.all(arrays["bandlets/cost"] <= arrays["wavelets/cost"] * (1 + 1e-5))


def test_squares_cover_the_image_once(arrays):
    covered = np.zeros((32, 32), int)
    for row, column, side, _ in arrays["squares"]:
        covered[int(row) : int(row + side), int(column) : int(column + side)] += 1
    np.testing.assert_array_equal(covered, 1)
    assert np.isfinite(arrays["squares"][:, 3]).any()


def test_denoisers_are_compared_on_the_same_images(arrays):
    assert list(arrays["names"]) == list(LABELS)
    assert arrays["wavelets/denoised"].shape == (3, 3)
    shifts = gain(arrays, "wavelets, shifts", "wavelets")
    assert shifts.mean() > 0.5
    for name in ("wavelets, shifts", "bandlets, shifts"):
        at = arrays[f"{name}/denoised"][:, 1]
        np.testing.assert_allclose(arrays[f"{name}/by_factor"][:, 1], at, atol=1e-3)  # 3 sigma at the middle level
    mse = np.mean((arrays["wavelets/example"] - arrays["clean"]) ** 2)
    np.testing.assert_allclose(arrays["wavelets/denoised"][0, 1], -10 * np.log10(mse), atol=1e-3)


def test_marks_are_met_by_a_gain_and_missed_without_one(arrays):
    told = {"bandlets, shifts/by_factor": arrays["wavelets, shifts/by_factor"] + 0.5}
    none = {"bandlets, shifts/by_factor": arrays["wavelets, shifts/by_factor"][:, ::-1]}  # the best is another one
    fewer, equal = ({"bandlets/number": arrays["wavelets/number"] * share} for share in (0.5, 1.0))
    assert met(bandlets.check(arrays | told | fewer, **MARKS)) == [True, True, True, True]
    assert met(bandlets.check(arrays | none | equal, **MARKS)) == [True, False, True, False]


def test_the_config_is_drawn_at_smoke_scale(tmp_path):
    experiment.train(get_config(file="bandlets"), tmp_path)
    experiment.study(get_config(file="bandlets"), tmp_path)
    assert (tmp_path / "figures" / "bandlets.png").exists()


def test_what_cannot_be_meant_is_refused():
    with pytest.raises(ValueError, match="num_images must be at least 2"):
        bandlets.analyze(num_images=1)
    with pytest.raises(ValueError, match="sigmas must be positive"):
        bandlets.analyze(sigmas=(0.0, 0.1))
