"""Statistics of sets of images against closed forms."""

import numpy as np
import pytest

from gahr.analysis import statistics
from gahr.analysis.statistics import Moments

RANDOM = np.random.default_rng(0)


def test_the_frechet_distance_of_gaussians_is_the_closed_form():
    basis, _ = np.linalg.qr(RANDOM.normal(size=(5, 5)))
    one, other = RANDOM.uniform(0.1, 2, (2, 5))
    mean = RANDOM.normal(size=5)
    moments = [Moments(m, basis * values @ basis.T) for m, values in ((mean, one), (mean + 0.3, other))]
    expected = 5 * 0.09 + np.sum((np.sqrt(one) - np.sqrt(other)) ** 2)  # common eigenvectors
    assert statistics.frechet_distance(*moments) == pytest.approx(expected, rel=1e-9)
    low = Moments(mean, np.zeros((5, 5)))  # a point
    assert statistics.frechet_distance(low, moments[0]) == pytest.approx(one.sum(), rel=1e-9)


def test_the_frechet_distance_is_the_cost_of_the_best_linear_map():
    a = RANDOM.normal(size=(4, 4))
    gain = a @ a.T  # a map T = grad of a convex function is optimal: x -> G x, G positive
    covariance = np.diag([1.0, 0.5, 0.2, 2.0])
    mapped = Moments(np.zeros(4), gain @ covariance @ gain)
    cost = np.trace((gain - np.eye(4)) @ covariance @ (gain - np.eye(4)))
    assert statistics.frechet_distance(Moments(np.zeros(4), covariance), mapped) == pytest.approx(cost, rel=1e-9)


def test_moments_are_those_of_the_coordinates():
    vectors = np.linalg.qr(RANDOM.normal(size=(9, 9)))[0].T.reshape(9, 3, 3, 1)[:4]
    coordinates = RANDOM.normal(size=(20, 4))
    found = statistics.moments(np.tensordot(coordinates, vectors, 1), vectors)
    np.testing.assert_allclose(found.mean, coordinates.mean(0), atol=1e-12)
    np.testing.assert_allclose(found.covariance, np.cov(coordinates.T), atol=1e-12)


def test_spectra_of_ten_times_the_power_are_ten_decibel_off():
    power = RANDOM.uniform(1, 2, 8)
    assert statistics.spectral_error(10 * power, power) == pytest.approx(10)
    assert statistics.spectral_error(power, power) == 0


def test_kurtosis_is_zero_for_gaussian_images_and_large_for_a_single_edge():
    assert statistics.excess_kurtosis(RANDOM.normal(size=(200, 16, 16, 1))) == pytest.approx(0, abs=0.1)
    edge = np.zeros((1, 16, 16, 1))
    edge[:, 8:] = 1
    assert statistics.excess_kurtosis(edge) == pytest.approx(30 - 3)  # one of 30 differences is not 0
