"""The studies bases, shuffled and lowdim on denoisers whose basis is known, and their commands at smoke scale."""

import functools
import runpy
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.tree_util import Partial

from gahr import experiment
from gahr.data import calpha, ray, shuffled, waves
from gahr.denoiser import blind
from gahr.experiment.progress import Progress
from gahr.studies import STUDIES, bases, lowdim
from gahr.studies import shuffled as shuffled_study
from gahr.studies.shared.local_basis import basis_checks, local_bases, spread
from gahr.studies.shared.study import Estimate, Run

ROOT = Path(__file__).parent.parent
SIZE = 8
KEY = jax.random.key(0)


def config(name, argument="scale=smoke"):
    return runpy.run_path(str(ROOT / "configs" / f"{name}.py"))["get_config"](argument)


def times(matrix, noisy):
    return (noisy.reshape(*noisy.shape[:-3], SIZE**2) @ matrix.T).reshape(noisy.shape)


# symmetric and linear: each row of pixels is averaged with its neighbours, periodically
ROLLED = np.roll(np.eye(SIZE), 1, 0)
SMOOTH = Partial(times, jnp.asarray(np.kron((2 * np.eye(SIZE) + ROLLED + ROLLED.T) / 4, np.eye(SIZE)), jnp.float32))
IDENTITY = Partial(times, jnp.eye(SIZE**2))


def images_of(sample, number=100):
    return jax.jit(jax.vmap(functools.partial(sample, size=SIZE)))(jax.random.split(jax.random.key(1), number))


@pytest.fixture(scope="module")
def contours():
    return images_of(functools.partial(calpha.sample, alpha=3.0))


def run_of(denoiser, made, **data):
    """A network and its images, test images from the front and others from the back; it knows what was asked for."""

    def images(subset, number):
        images.asked.add((subset, number))
        return made[:number] if subset == "test" else made[-number:]

    images.asked = set()
    return Run(denoiser, blind(denoiser), images, {"size": SIZE} | data)


def bases_of(denoiser, clean, **options):
    return local_bases(denoiser, KEY, clean, 0.2, Progress(), note="", **options)


def lines(checks):
    return {check.name: check for check in checks}


def verdicts(checks):
    return [check.met for check in checks if check.met is not None]


def said(found):
    return lines(basis_checks({f"net/{name}": np.asarray(value) for name, value in found.items()}, "net"))


def test_a_linear_denoiser_has_the_same_known_basis_at_every_image():
    clean = jax.random.uniform(KEY, (3, SIZE, SIZE, 1))
    found = bases_of(SMOOTH, clean, measure=lambda eigen, x: {"sum": x.sum()})
    factors = np.sort(np.repeat((1 + np.cos(2 * np.pi * np.arange(SIZE) / SIZE)) / 2, SIZE))[::-1]
    np.testing.assert_allclose(found["shrinkage"], np.tile(factors, (3, 1)), atol=1e-5)
    np.testing.assert_allclose(found["singular_values"], found["shrinkage"], atol=1e-5)
    np.testing.assert_allclose(found["asymmetry"], 0, atol=1e-6)
    np.testing.assert_allclose(found["trace"], SIZE**2 / 2, rtol=1e-5)
    np.testing.assert_allclose(jnp.sum(found["coefficients"] ** 2, 1), jnp.sum(clean**2, (1, 2, 3)), rtol=1e-4)
    energy = found["coefficients"] ** 2
    np.testing.assert_allclose(found["oracle"], jnp.sum(energy / (energy + 0.04), 1), rtol=1e-4)
    np.testing.assert_allclose(found["sum"], clean.sum((1, 2, 3)), rtol=1e-6)
    largest = said(found)["net: largest eigenvalue, singular value"].measured
    assert largest == pytest.approx({"eigenvalues": 1, "singular values": 1}, abs=1e-5)


def test_the_overlap_says_how_far_the_two_decompositions_differ():
    clean, mixing = jax.random.uniform(KEY, (2, SIZE, SIZE, 1)), jax.random.normal(KEY, (64, 64)) / 8
    symmetric = mixing @ mixing.T + jnp.diag(jnp.linspace(0, 3, 64))
    skewed = symmetric + mixing - mixing.T
    np.testing.assert_allclose(bases_of(Partial(times, symmetric), clean)["overlap"], 1, atol=1e-3)
    found = bases_of(Partial(times, skewed), clean)
    left, vectors = np.linalg.svd(skewed)[0][:, :10], np.linalg.eigh(symmetric)[1][:, -10:]
    np.testing.assert_allclose(found["overlap"], np.sum((left.T @ vectors) ** 2) / 10, atol=1e-3)
    assert found["overlap"].max() < 0.95
    line = said(found)["net: overlap of 10 leading eigen- and left singular vectors"]
    assert line.theory == {"symmetric": 1, "chance": 10 / 64}
    assert line.measured.mean == pytest.approx(float(found["overlap"][0]), abs=1e-3)


def test_spread_is_the_standard_error_of_the_mean():
    assert spread(np.array([1.0, 2.0, 3.0, 4.0])) == Estimate(2.5, pytest.approx((5 / 3 / 4) ** 0.5))
    assert spread(np.array([1.5])) == 1.5


def lowdim_arrays(ray_denoiser, waves_denoiser):
    runs = {
        "ray": run_of(ray_denoiser, images_of(ray.sample, 400), name="ray"),
        "waves": run_of(waves_denoiser, images_of(waves.sample, 400), name="waves"),
    }
    analysis = lowdim.analyze(sigma={"ray": 0.04, "waves": 0.08}, num_bases=2, num_images=400)
    arrays = analysis(runs, KEY, progress=Progress())
    assert runs["ray"].images.asked == runs["waves"].images.asked == {("test", 400)}
    return arrays


def test_projections_are_optimal_on_sets_of_one_and_two_dimensions():
    spans = ray.direction(size=SIZE)[None], waves.plane(size=SIZE)
    arrays = lowdim_arrays(*(Partial(lowdim._project, span) for span in spans))
    table = lowdim.check(arrays, overlap=0.9, slope_within=0.01)
    assert verdicts(table) == [True] * 4
    for name, dimension, above in (("ray", 1, 5.517), ("waves", 2, 2.507)):
        gain = arrays[f"{name}/psnr"] - arrays["input_psnr"]
        error = gain[:, 0].std() / np.sqrt(400)
        expected = 10 * np.log10(SIZE**2 / dimension) + above
        assert lowdim._optimal_gain(SIZE**2, dimension) == pytest.approx(expected, abs=2e-3)
        assert gain[:, 5].mean() == pytest.approx(expected, abs=4 * error)
        np.testing.assert_allclose(arrays[f"{name}/trace"], dimension, rtol=1e-4)
        np.testing.assert_allclose(arrays[f"{name}/psnr"], arrays[f"{name}/projection"], atol=0.05)
        # nothing in common where nothing is kept: not the overlap with the span, which is 1
        line = lines(table)[f"{name}: overlap of 10 leading eigen- and left singular vectors"]
        assert line.measured.mean < 0.9


def test_shrinking_alone_is_not_optimal_there():
    arrays = lowdim_arrays(*[Partial(times, 0.9 * jnp.eye(SIZE**2))] * 2)
    assert verdicts(lowdim.check(arrays, overlap=0.9, slope_within=0.01)) == [False] * 4


def test_one_denoiser_in_two_orders_of_the_pixels_is_one_basis_and_one_curve(contours):
    order = shuffled.permutation(SIZE, 0)
    other_order = Partial(times, SMOOTH.args[0][order][:, order])
    runs = {
        "plain": run_of(SMOOTH, contours),
        "shuffled": run_of(other_order, shuffled.shuffle(contours)),
    }
    analysis = shuffled_study.analyze(num_bases=2, num_images=20, wiener_images=80)
    arrays = analysis(runs, KEY, progress=Progress())
    assert all(run.images.asked == {("test", 20), ("a", 80)} for run in runs.values())
    for quantity, atol in {"clean": 0, "shrinkage": 1e-5, "psnr": 1e-4, "wiener": 1e-2, "oracle": 1e-2}.items():
        np.testing.assert_allclose(arrays[f"shuffled/{quantity}"], arrays[f"plain/{quantity}"], atol=atol)
    vectors = arrays["shuffled/vectors"]  # unshuffled: eigenvectors of the plain smoothing filter
    pushed = SMOOTH(vectors) / arrays["shuffled/shrinkage"][:, :10, None, None, None]
    np.testing.assert_allclose(pushed, vectors, atol=1e-4)
    marks = dict(psnr_loss=2.5, slope_loss=0.05, dimension_ratio=1.5)
    assert verdicts(shuffled_study.check(arrays, **marks | dict(psnr_loss=0.1))) == [False] * 3
    worse = arrays | {"shuffled/psnr": arrays["shuffled/psnr"] - 0.1 * arrays["input_psnr"]}
    worse["shuffled/oracle"] = 2 * worse["shuffled/oracle"]
    table = shuffled_study.check(worse, **marks)
    assert verdicts(table) == [True] * 3
    assert lines(table)["PSNR lost by the shuffle at 30 dB, dB"].measured == pytest.approx(3, abs=1e-3)


def test_bases_compare_each_exponent_with_the_next_lower(contours):
    from matplotlib import pyplot as plt

    runs = {  # the better denoiser on the rougher contours
        "rough": run_of(SMOOTH, contours, alpha=2.0),
        "smooth": run_of(IDENTITY, contours, alpha=4.0),
    }
    marks = dict(preserved_energy=0.9, psnr_rise=0.1, dimension_ratio=0.95)
    arrays = bases.analyze(num_bases=2, num_images=40)(runs, KEY, progress=Progress())
    assert all(run.images.asked == {("test", 40)} for run in runs.values())
    np.testing.assert_allclose(arrays["smooth/psnr"].mean(), 20 * np.log10(1 / 0.2), atol=0.3)
    np.testing.assert_allclose(arrays["smooth/participation"], 1 / SIZE**2, rtol=1e-5)  # pixels, on contours by chance
    np.testing.assert_allclose(arrays["smooth/contour"], arrays["smooth/contour_control"], rtol=1e-4)
    table = lines(bases.check(arrays, **marks))
    rise = table["smooth: output PSNR less that of rough, dB"]
    assert (rise.met, table["rough: output PSNR, dB"].met) == (False, None)
    assert rise.value == pytest.approx((arrays["smooth/psnr"] - arrays["rough/psnr"]).mean())
    assert table["smooth: share of |x|^2 above 1/2"].met is True
    swapped = arrays | {"rough/alpha": np.asarray(4.0), "smooth/alpha": np.asarray(2.0)}
    assert lines(bases.check(swapped, **marks))["rough: output PSNR less that of smooth, dB"].met is True
    seven = {f"net{i}": ("rough", "smooth")[i % 2] for i in range(7)}
    quantities = [key.removeprefix("rough/") for key in arrays if key.startswith("rough/")]
    drawn = {f"{name}/{key}": arrays[f"{old}/{key}"] for name, old in seven.items() for key in quantities}
    figure = bases.draw(drawn | {"runs": np.array(list(seven))})
    decay, _, errors = figure.subfigs[-1].axes
    assert len(decay.get_legend().get_texts()) == len(errors.containers) + 1 == 8  # and one for the singular values
    plt.close(figure)


def test_options_that_cannot_be_used_are_named():
    sigma = dict(ray=0.04, waves=0.08)
    for analyze, option, value in [
        (bases.analyze, "num_bases", 0),
        (bases.analyze, "sigma", 0.0),
        (shuffled_study.analyze, "sigma", -1.0),
        (shuffled_study.analyze, "num_levels", 1),
        (shuffled_study.analyze, "fit_between", (20.0, 21.0)),
        (lowdim.analyze, "sigma", {"ray": 0.1}),
        (functools.partial(lowdim.analyze, sigma=sigma), "num_images", 1),
    ]:
        with pytest.raises(ValueError, match=rf"^{option} must"):
            analyze(**{option: value})


@pytest.mark.parametrize("name", ["bases", "shuffled", "lowdim"])
def test_smoke_run_end_to_end(tmp_path, name):
    made = config(name)
    experiment.train(made, tmp_path)
    checks = experiment.study(made, tmp_path)
    assert (tmp_path / "figures" / f"{name}.pdf").stat().st_size > 10_000
    assert all(check.met is None for check in checks)
    assert len(STUDIES[name].check(dict(np.load(tmp_path / "study.npz")))) == len(checks)


def test_arguments_of_the_configs_are_checked():
    assert list(config("bases", "contour=1+3,scale=smoke").runs) == ["alpha1", "alpha3"]
    with pytest.raises(ValueError, match="sigma"):
        config("shuffled", "sigma=0,scale=smoke")
    with pytest.raises(ValueError, match="contour"):
        config("bases", "contours=2")
