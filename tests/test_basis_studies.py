"""The studies bases, shuffled and lowdim on denoisers whose basis is known, and their commands at smoke scale."""

import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import experiment
from gahr.data import calpha, ray, shuffled, waves
from gahr.experiment.progress import Progress
from gahr.studies import STUDIES, bases, lowdim
from gahr.studies import shuffled as shuffled_study
from gahr.studies.common import Run
from gahr.studies.shared.local_basis import basis_checks, local_bases, spread

ROOT = Path(__file__).parent.parent
SIZE = 8
KEY = jax.random.key(0)


def config(name, argument="scale=smoke"):
    return runpy.run_path(str(ROOT / "configs" / f"{name}.py"))["get_config"](argument)


def run_of(denoiser, sample, **data):
    def images(subset, number):
        return jax.vmap(sample)(jax.random.split(jax.random.key(1), number))

    return Run(jax.tree_util.Partial(denoiser), images, {"subset": "a", "size": SIZE, "set_size": 50} | data)


def smooth(noisy):
    """Symmetric and linear: each row of pixels is averaged with its neighbours, periodically."""
    return (2 * noisy + jnp.roll(noisy, 1, -3) + jnp.roll(noisy, -1, -3)) / 4


def lines(checks):
    return {check.name: check for check in checks}


def test_a_linear_denoiser_has_the_same_known_basis_at_every_image():
    clean = jax.random.uniform(KEY, (3, SIZE, SIZE, 1))
    with Progress("off") as progress:
        found = local_bases(smooth, KEY, clean, 0.2, progress, note="", measure=lambda eigen, x: {"sum": x.sum()})
    factors = np.sort(np.repeat((1 + np.cos(2 * np.pi * np.arange(SIZE) / SIZE)) / 2, SIZE))[::-1]
    np.testing.assert_allclose(found["shrinkage"], np.tile(factors, (3, 1)), atol=1e-5)
    np.testing.assert_allclose(found["singular_values"], found["shrinkage"], atol=1e-5)
    np.testing.assert_allclose(found["asymmetry"], 0, atol=1e-6)
    np.testing.assert_allclose(found["trace"], SIZE**2 / 2, rtol=1e-5)
    np.testing.assert_allclose(jnp.sum(found["coefficients"] ** 2, 1), jnp.sum(clean**2, (1, 2, 3)), rtol=1e-4)
    energy = found["coefficients"] ** 2
    np.testing.assert_allclose(found["oracle"], jnp.sum(energy / (energy + 0.04), 1), rtol=1e-4)
    np.testing.assert_allclose(found["sum"], clean.sum((1, 2, 3)), rtol=1e-6)
    table = lines(basis_checks({f"net/{name}": np.asarray(value) for name, value in found.items()}, "net"))
    assert table["net: largest eigenvalue, singular value"].measured == "1.00, 1.00"


def test_the_overlap_says_how_far_the_two_decompositions_differ():
    clean, mixing = jax.random.uniform(KEY, (2, SIZE, SIZE, 1)), jax.random.normal(KEY, (64, 64)) / 8
    symmetric = mixing @ mixing.T + jnp.diag(jnp.linspace(0, 3, 64))
    skewed = symmetric + mixing - mixing.T

    def bases_of(matrix):
        denoiser = lambda noisy: (noisy.reshape(*noisy.shape[:-3], 64) @ matrix.T).reshape(noisy.shape)
        with Progress("off") as progress:
            return local_bases(denoiser, KEY, clean, 0.2, progress, note="")

    np.testing.assert_allclose(bases_of(symmetric)["overlap"], 1, atol=1e-3)
    found = bases_of(skewed)
    left, vectors = np.linalg.svd(skewed)[0][:, :10], np.linalg.eigh(symmetric)[1][:, -10:]
    np.testing.assert_allclose(found["overlap"], np.sum((left.T @ vectors) ** 2) / 10, atol=1e-3)
    assert found["overlap"].max() < 0.95
    (line,) = (
        check
        for check in basis_checks({f"net/{name}": np.asarray(value) for name, value in found.items()}, "net")
        if "overlap" in check.name
    )
    assert line.theory == "1 where symmetric; chance 0.156"
    assert line.measured == f"{float(found['overlap'][0]):.2f} +- 0.00"


def test_spread_is_the_standard_error_of_the_mean():
    assert spread(np.array([1.0, 2.0, 3.0, 4.0])) == "2.50 +- 0.65"  # sqrt(5 / 3 / 4)
    assert spread(np.array([1.5])) == "1.50"


def lowdim_arrays(ray_denoiser, waves_denoiser):
    runs = {
        "ray": run_of(ray_denoiser, lambda key: ray.sample(key, size=SIZE), name="ray"),
        "waves": run_of(waves_denoiser, lambda key: waves.sample(key, size=SIZE), name="waves"),
    }
    with Progress("off") as progress:
        return lowdim.analyze(
            runs, KEY, sigma={"ray": 0.04, "waves": 0.08}, num_bases=2, num_images=2_000, progress=progress
        )


def test_projections_are_optimal_on_sets_of_one_and_two_dimensions():
    spans = ray.direction(size=SIZE)[None], waves.plane(size=SIZE)
    arrays = lowdim_arrays(*(jax.tree_util.Partial(lowdim._project, span) for span in spans))
    table = lines(lowdim.check(arrays, overlap=0.9, slope_within=0.01))
    assert [line.met for line in table.values() if line.met is not None] == [True] * 4
    for name, dimension, above in (("ray", 1, 5.517), ("waves", 2, 2.507)):
        gain = arrays[f"{name}/psnr"] - arrays["input_psnr"]
        error = gain[:, 0].std() / np.sqrt(2_000)
        expected = 10 * np.log10(SIZE**2 / dimension) + above
        assert lowdim._optimal_gain(SIZE**2, dimension) == pytest.approx(expected, abs=2e-3)
        assert gain[:, 5].mean() == pytest.approx(expected, abs=4 * error)
        np.testing.assert_allclose(arrays[f"{name}/trace"], dimension, rtol=1e-4)
        np.testing.assert_allclose(arrays[f"{name}/psnr"], arrays[f"{name}/projection"], atol=0.05)


def test_shrinking_alone_is_not_optimal_there():
    arrays = lowdim_arrays(lambda noisy: 0.9 * noisy, lambda noisy: 0.9 * noisy)
    table = lowdim.check(arrays, overlap=0.9, slope_within=0.01)
    assert [line.met for line in table if line.met is not None] == [False] * 4


def test_one_denoiser_in_two_orders_of_the_pixels_is_one_basis():
    def sample(key):
        return calpha.sample(key, size=SIZE, alpha=3.0)

    def other_order(noisy):
        return shuffled.shuffle(smooth(shuffled.unshuffle(noisy)))

    runs = {
        "plain": run_of(smooth, sample),
        "shuffled": run_of(other_order, lambda key: shuffled.shuffle(sample(key))),
    }
    options = dict(num_bases=2, num_images=300, wiener_images=200)
    with Progress("off") as progress:
        arrays = shuffled_study.analyze(runs, KEY, progress=progress, **options)
    np.testing.assert_allclose(arrays["plain/clean"], arrays["shuffled/clean"])
    np.testing.assert_allclose(arrays["plain/shrinkage"], arrays["shuffled/shrinkage"], atol=1e-5)
    vectors = arrays["shuffled/vectors"]  # unshuffled: eigenvectors of the plain smoothing filter
    pushed = jax.vmap(smooth)(vectors) / arrays["shuffled/shrinkage"][:, :10, None, None, None]
    np.testing.assert_allclose(pushed, vectors, atol=1e-4)
    table = lines(shuffled_study.check(arrays, psnr_loss=0.1, slope_loss=0.05, dimension_ratio=1.5))
    linear = table["largest difference of the two linear denoisers' curves, dB"]
    assert float(linear.measured) < 0.2  # the same noise, on pixels in another order
    assert [line.met for line in table.values() if line.met is not None] == [False] * 3
    worse = arrays | {"shuffled/psnr": arrays["shuffled/psnr"] - 0.1 * arrays["input_psnr"]}
    worse["shuffled/oracle"] = 2 * worse["shuffled/oracle"]
    table = shuffled_study.check(worse, psnr_loss=2.5, slope_loss=0.05, dimension_ratio=1.5)
    assert [line.met for line in table if line.met is not None] == [True] * 3


def test_bases_compare_each_exponent_with_the_next_lower():
    from matplotlib import pyplot as plt

    def sample(alpha):
        return lambda key: calpha.sample(key, size=SIZE, alpha=alpha)

    runs = {  # the better denoiser on the rougher contours
        "rough": run_of(smooth, sample(2.0), alpha=2.0),
        "smooth": run_of(lambda noisy: noisy, sample(4.0), alpha=4.0),
    }
    marks = dict(preserved_energy=0.9, psnr_rise=0.1, dimension_ratio=0.95)
    with Progress("off") as progress:
        arrays = bases.analyze(runs, KEY, num_bases=2, num_images=40, progress=progress)
    np.testing.assert_allclose(arrays["smooth/psnr"].mean(), 20 * np.log10(1 / 0.2), atol=0.3)
    table = lines(bases.check(arrays, **marks))
    assert table["smooth: output PSNR, dB"].met is False
    assert table["rough: output PSNR, dB"].met is None
    assert table["smooth: share of |x|^2 above 1/2"].met is True
    swapped = arrays | {"rough/alpha": np.asarray(4.0), "smooth/alpha": np.asarray(2.0)}
    assert lines(bases.check(swapped, **marks))["rough: output PSNR, dB"].met is True
    seven = {f"net{i}": ("rough", "smooth")[i % 2] for i in range(7)}
    quantities = [key.removeprefix("rough/") for key in arrays if key.startswith("rough/")]
    drawn = {f"{name}/{key}": arrays[f"{old}/{key}"] for name, old in seven.items() for key in quantities}
    figure = bases.draw(drawn | {"runs": np.array(list(seven))})
    decay, _, errors = figure.subfigs[-1].axes
    assert len(decay.get_legend().get_texts()) == len(errors.containers) + 1 == 8  # and one for the singular values
    plt.close(figure)


@pytest.mark.parametrize("name", ["bases", "shuffled", "lowdim"])
def test_smoke_run_end_to_end(tmp_path, name):
    made = config(name)
    experiment.train(made, tmp_path)
    checks = experiment.study(made, tmp_path)
    assert (tmp_path / "figures" / f"{name}.pdf").stat().st_size > 10_000
    assert all(check.met is None for check in checks)
    assert len(STUDIES[name].check(dict(np.load(tmp_path / "study.npz")))) == len(checks)


@pytest.mark.parametrize(
    ("name", "field", "value"),
    [
        ("bases", "num_bases", 0),
        ("bases", "sigma", 0.0),
        ("shuffled", "sigma", -1.0),
        ("shuffled", "num_levels", 1),
        ("lowdim", "sigma", {"ray": 0.1}),
        ("lowdim", "num_images", 1),
    ],
)
def test_bad_options_are_named_before_training(tmp_path, name, field, value):
    made = config(name)
    made.study.analysis[field] = value
    with pytest.raises(ValueError, match=rf"study\.analysis\.{field} must"):
        experiment.train(made, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_arguments_of_the_configs_are_checked():
    assert list(config("bases", "contour=1+3,scale=smoke").runs) == ["alpha1", "alpha3"]
    with pytest.raises(ValueError, match="sigma"):
        config("shuffled", "sigma=0,scale=smoke")
    with pytest.raises(ValueError, match="contour"):
        config("bases", "contours=2")
