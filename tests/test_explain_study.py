"""The study of explanations on denoisers that are priors of its list, and on one that is none."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import met
from jax.tree_util import Partial

from gahr.classical import patches
from gahr.classical.analytic import points
from gahr.data import calpha
from gahr.experiment.progress import Progress
from gahr.studies.explain import STUDY
from gahr.studies.explain.analysis import PRIORS, SWAPPED, TWIN, _fit
from gahr.studies.explain.check import best_prior, beyond, nearer, nearer_samples
from gahr.studies.shared.nulls import linear
from gahr.studies.shared.study import Run

SIZE, NUMBER, SIGMAS = 8, 12, (0.1, 0.5)
MARKS = dict(memorizer_at_ten=3.0, beyond_priors_at_largest=1.0)


@functools.cache
def images(subset, number):
    keys = jax.random.split(jax.random.key(ord(subset[0])), 30)
    return jax.jit(jax.vmap(functools.partial(calpha.sample, size=SIZE, alpha=1.0)))(keys)[:number]


def soft(noisy, sigma):
    """No prior of the list: coefficients of sines of one axis shrunk by half a cosine; the same for all images."""
    return noisy * jnp.cos(noisy) * 0.7 + 0.1


NETWORKS = {
    "memorizer": points,
    "patches of the place": functools.partial(patches.local, window=5),
    None: lambda _: Partial(soft),
}


@pytest.fixture(scope="module")
def found():
    """Arrays and checks for each kind of network."""
    options = dict(num_images=5, num_held=3, num_swapped=2, num_samples=3, windows=(3, 5), num_moved=2, num_steps=4)
    analyze = STUDY.analyze(**options, sigmas=SIGMAS)
    arrays = {}
    for kind, fit in NETWORKS.items():
        runs = {
            subset: Run(None, fit(images(subset, NUMBER)), images, {"size": SIZE}, subset=subset, set_size=NUMBER)
            for subset in "ab"
        }
        arrays[kind] = analyze(runs, jax.random.key(0), progress=Progress())
    return arrays


@pytest.mark.parametrize("kind", ["memorizer", "patches of the place"])
def test_a_prior_of_the_list_explains_itself(found, kind):
    """Its own images and, of the windows, its own: no other prior, and not the twin, which knows other images."""
    arrays = found[kind]
    which, best = best_prior(arrays, "networks")
    assert {PRIORS[i] for i in which.ravel()} == {kind}
    np.testing.assert_allclose(best, 60, atol=1e-3)
    np.testing.assert_allclose(nearer_samples(arrays, "networks", kind), 60, atol=1e-3)
    assert nearer(arrays, "networks", TWIN).max() < 30
    assert beyond(arrays, "networks").max() < 0
    if kind != "memorizer":
        assert np.all(arrays["networks/window/patches of the place"] == 5)


def test_what_does_not_depend_on_the_images_is_explained_by_its_twin_alone(found):
    arrays = found[None]
    np.testing.assert_allclose(nearer(arrays, "networks", TWIN), 60)
    assert beyond(arrays, "networks").min() > 1
    assert nearer(arrays, "networks", SWAPPED).shape == (1, len(SIGMAS), 2)


def test_marks_are_missed_by_the_nulls(found):
    lines = {
        kind: [line for line in STUDY.check(arrays, **MARKS) if line.met is not None] for kind, arrays in found.items()
    }
    assert [line.met for line in lines["memorizer"]] == [True, False]
    assert [line.met for line in lines[None]] == [False, True]
    for line in (lines["memorizer"][0], lines[None][1]):
        assert line.nulls
        assert not line.met_by
    assert not met(STUDY.check(found[None]))


def test_units_are_those_of_the_linear_denoiser(found):
    """Twice as far is -6 dB."""
    arrays = dict(found["memorizer"])
    arrays["networks/network/identity"] = 4 * arrays["networks/network/linear"]
    np.testing.assert_allclose(nearer(arrays, "networks", "identity"), -10 * np.log10(4), rtol=1e-6)
    np.testing.assert_allclose(nearer(arrays, "networks", "linear"), 0)


def test_the_linear_denoiser_is_a_prior_like_others(found):
    """Where all others are further away, the twin is compared with it, and not with the next."""
    arrays = dict(found[None])
    far = {f"networks/network/{name}": 9 * arrays["networks/network/linear"] for name in PRIORS if name != "linear"}
    which, best = best_prior(arrays | far, "networks")
    assert {PRIORS[i] for i in which.ravel()} == {"linear"}
    np.testing.assert_allclose(best, 0)


def test_correlations_are_of_what_is_added_to_the_linear_denoiser(found):
    for kind, same in (("memorizer", "memorizer"), (None, TWIN)):
        of = lambda name, kind=kind: found[kind][f"networks/correlation/{name}"]
        np.testing.assert_allclose(of(same), 1, atol=1e-4)
        np.testing.assert_allclose(of("linear"), 0, atol=1e-4)
        assert of("identity").max() < 0.99


def test_a_filter_of_windows_that_see_all_is_the_linear_denoiser():
    """Eigenvalues of images that a vector was fitted to make the filter another one, whatever the window."""
    own = images("a", NUMBER)
    filters = patches.linear(*_fit(own, centred=False), window=2 * SIZE - 1), linear(own)
    noisy = own[:2] + 0.3 * jax.random.normal(jax.random.key(1), own[:2].shape)
    found, whole = (jax.jit(each)(noisy, jnp.float32(0.3)) for each in filters)
    np.testing.assert_allclose(found, whole, atol=1e-4)
