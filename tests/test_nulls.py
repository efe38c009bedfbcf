"""Null denoisers, and that every mark of a study is missed by those that its claim excludes.

No network is trained here: a 3x3 filter stands in its place, and the other nulls beside it as in the study itself.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config
from jax.tree_util import Partial

from gahr.data import DATASETS
from gahr.denoiser import blind
from gahr.experiment.progress import Progress
from gahr.studies import STUDIES
from gahr.studies.shared.nulls import estimated, null_denoisers, smooth
from gahr.studies.shared.study import Run, mean_of
from gahr.studies.shared.style import NULLS

KEY = jax.random.key(0)
denoise = jax.jit(lambda denoiser, noisy, sigma: denoiser(noisy, sigma))
denoise_blind = jax.jit(lambda denoiser, noisy: denoiser(noisy))


def test_nulls_are_fitted_to_the_images_that_the_network_has_seen():
    def images(subset, number):
        assert subset == "b"
        return 0.5 + 0.1 * jax.random.normal(KEY, (50, 4, 4, 1))[:number]

    run = Run(None, None, images, {}, "b", 30, initial=blind(lambda noisy: -noisy))
    found = null_denoisers(run, num_fit=20, memorized=30)
    assert list(found) == list(NULLS)
    assert list(null_denoisers(run._replace(initial=None))) == ["linear", "3x3 filter", "identity"]
    noisy = jax.random.normal(jax.random.key(1), (3, 4, 4, 1))
    np.testing.assert_array_equal(found["identity"](noisy, 0.1), noisy)
    np.testing.assert_array_equal(found["untrained"](noisy, 0.1), -noisy)
    trained_on, grey = images("b", 30), jnp.full((3, 4, 4, 1), 0.5)
    np.testing.assert_allclose(denoise(found["memorizer"], trained_on[27:], 0.01), trained_on[27:], atol=1e-5)
    linear = [denoise(found["linear"], *pair) for pair in ((noisy, 0.1), (2 * noisy, 0.1), (grey, 0.1), (noisy, 10.0))]
    np.testing.assert_allclose(linear[1], 2 * linear[0], rtol=1e-4)
    np.testing.assert_allclose(linear[2], grey, atol=0.05)  # the mean image, of which there is most, is kept
    assert jnp.linalg.norm(linear[3]) < 0.05 * jnp.linalg.norm(noisy)  # it is told sigma


def test_the_filter_is_the_binomial_one_and_repeats_the_border():
    filtered = jax.jit(smooth)
    impulse = jnp.zeros((2, 5, 6, 1)).at[1, 2, 3].set(16.0)
    expected = np.zeros((5, 6))
    expected[1:4, 2:5] = np.outer([1, 2, 1], [1, 2, 1])
    np.testing.assert_array_equal(filtered(impulse)[1, ..., 0], expected)
    np.testing.assert_array_equal(filtered(impulse[1])[..., 0], expected)
    corner = jnp.zeros((5, 6, 1)).at[0, 0].set(16.0)
    np.testing.assert_array_equal(filtered(corner)[:3, :3, 0], [[9, 3, 0], [3, 1, 0], [0, 0, 0]])


@pytest.mark.parametrize("sigma", [0.03, 0.5])
def test_nulls_read_sigma_off_smooth_images_with_few_edges(sigma):
    clean = jnp.zeros((4, 41, 40, 1)).at[:, 13:].set(0.7).at[:, :, 20:].add(-0.2)
    noisy = clean + sigma * jax.random.normal(KEY, clean.shape)
    found = denoise_blind(estimated(lambda noisy, sigma: noisy * 0 + sigma[:, None, None, None]), noisy)
    np.testing.assert_allclose(found, sigma, rtol=0.15)
    one = denoise_blind(estimated(lambda noisy, sigma: noisy * 0 + sigma), noisy[0])  # a single image has one
    np.testing.assert_allclose(one, found[0], rtol=1e-5)


# ---- every mark of a study ----

FIXED = {"linear", "3x3 filter", "identity"}  # do the same to every image
CASES = {  # config -> study -> what to analyse with, and mark -> nulls that its claim excludes
    "calpha.py:scale=laptop": {
        "slopes": (
            dict(num_images=16, wiener_images=1_200, num_levels=9, num_probe_images=1, num_probes=1),
            {
                "slope_within": FIXED | {"memorizer"},
                "gain_over_wiener": FIXED | {"memorizer"},
                "train_test_gap": {"memorizer"},
            },
        ),
    },
    "memorization.py:scale=laptop,features=16,set_sizes=1+1000": {
        "transition": (
            dict(num_images=16),
            {
                "slope_at_one": {"3x3 filter"},
                "gap_at_one": {"3x3 filter", "identity"},
                "gap_at_largest": {"memorizer"},
                "gain_at_largest": FIXED | {"memorizer"},
            },
        ),
    },
    "memorization.py:scale=laptop,features=16,set_sizes=1+10+1000": {
        "twins": (
            dict(num_samples=8, num_bases=2),
            {
                "memorized": FIXED,
                "twin_at_largest": {"memorizer"},
                "lead_at_largest": {"memorizer"},
                "kurtosis_at_largest": FIXED,
            },
        ),
    },
    "disks.py:scale=laptop": {
        "disks": (
            # of the shapes that test_disks_study compiles
            dict(size=8, num_disks=2, num_images=3, num_levels=5, num_samples=512, num_sigmas=4),
            {"overlap": FIXED, "dimension_ratio": FIXED, "psnr_below_exact": FIXED},
        ),
    },
    "bases.py:scale=laptop,contour=2": {
        "bases": (
            dict(size=12, num_bases=3, num_images=4, num_fit=500, num_memorized=100),
            {"swapped": FIXED, "contours": FIXED},
        ),
    },
    "eigenbasis.py:scale=laptop": {
        "eigenbasis": (
            dict(size=12, num_bases=3, num_fit=500, num_memorized=100),
            {"swapped": FIXED, "contours": FIXED},
        ),
    },
    "shuffled.py:scale=laptop": {
        "shuffled": (
            dict(size=12, num_bases=3, num_images=4, num_fit=500, num_memorized=100),
            {"psnr_loss": {"linear", "identity"}, "slope_loss": {"linear", "identity"}, "swapped_loss": FIXED},
        ),
    },
    "lowdim.py:scale=laptop": {
        "lowdim": (
            dict(size=12, num_bases=3, num_images=4, num_fit=500),
            {"overlap": {"3x3 filter", "identity"}, "gain_share": {"3x3 filter", "identity"}},
        ),
    },
}
FEW = dict(size=8, num_bases=2, num_fit=1_200)  # what is fixed has 1 in what is swapped, at any size
CASES |= {
    "bases.py:scale=laptop,contour=2": {
        "bases": (FEW | dict(num_images=2, num_memorized=60), {"swapped": FIXED, "contours": FIXED})
    },
    "eigenbasis.py:scale=laptop": {
        "eigenbasis": (FEW | dict(num_memorized=60), {"swapped": FIXED, "contours": FIXED}),
    },
    "shuffled.py:scale=laptop": {
        "shuffled": (
            FEW | dict(num_images=2, num_memorized=60),
            {"psnr_loss": {"linear", "identity"}, "slope_loss": {"linear", "identity"}, "swapped_loss": FIXED},
        ),
    },
    "lowdim.py:scale=laptop": {  # where the linear denoiser is nearly optimal
        "lowdim": (
            FEW | dict(size=16, num_images=4),
            {"overlap": {"3x3 filter", "identity"}, "gain_share": {"3x3 filter", "identity"}},
        ),
    },
}
# the card's marks are properties of exact denoisers, and it says itself that the linear one has them
PROPERTIES = ("|D(cy) - c D(y)|", "|J y - D(y)|")  # of any bias-free network: no findings, hence without nulls


@functools.cache
def taken(subset, **data):
    """The first 1,200 images of a subset, whatever the size of the training set."""
    take = DATASETS[data.pop("name")](KEY, **data).take
    index = jnp.arange(1_200)
    return jax.jit(functools.partial(take, subset=subset))(index, set_size=np.int32(2_000))


def images_of(run, subset, number):
    return taken(subset, **run.data)[: min(number, run.set_size) if subset == run.subset else number]


def runs_of(config):
    """The runs of a config with a 3x3 filter for a network, trained long."""
    return {
        name: Run(
            Partial(smooth),
            blind(smooth),
            functools.partial(images_of, run),
            run.data.to_dict(),
            *(run[field] for field in ("subset", "set_size", "variant", "repeat")),
            passes=10.0,
            sigma_min=run.objective.sigma_min,
        )
        for name, run in config.runs.items()
    }


@pytest.mark.parametrize(("case", "study"), [(case, study) for case, studies in CASES.items() for study in studies])
def test_every_mark_is_missed_by_the_nulls_that_its_claim_excludes(case, study, monkeypatch):
    # no mark is about leading vectors of twins, and those of a filter, whose spectrum is dense, take long
    first = lambda denoiser, noisy, key, count: jnp.eye(noisy.size)[:count].reshape(count, *noisy.shape)
    monkeypatch.setattr("gahr.studies.twins.analysis._leading", first)
    file, _, arg = case.partition(".py:")
    config, (options, excluded) = get_config(arg, file=file), CASES[case][study]
    for run in config.runs.values():
        run.data.size = options.get("size", run.data.size)  # where the marks hold at any
    options = {name: value for name, value in options.items() if name != "size"}
    section = config.study.to_dict()
    section = section if "name" in section else section[study]
    assert set(section["marks"]) == set(excluded), "marks without nulls, or the other way round"
    with jax.default_matmul_precision("highest"):  # as a command does
        arrays = STUDIES[study].analyze(**section["analysis"] | options)(runs_of(config), KEY, progress=Progress())

    def held(marks):
        checks = STUDIES[study].check(arrays, **marks)
        return {check.name: check for check in checks if check.met is not None}

    properties = held({})
    assert all(any(word in name for word in PROPERTIES) for name in properties), list(properties)
    for mark, nulls in excluded.items():
        checks = [check for name, check in held({mark: section["marks"][mark]}).items() if name not in properties]
        assert checks, f"{mark} is held against nothing"
        for check in checks:
            # the filter in the place of the network is measured as it is beside it
            np.testing.assert_allclose(check.value, mean_of(check.nulls["3x3 filter"]), rtol=1e-3, atol=1e-3)
            assert set(check.nulls) >= nulls, check
            assert not nulls & set(check.met_by), f"{mark} is met by {nulls & set(check.met_by)}: {check}"
