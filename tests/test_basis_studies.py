"""The studies bases, shuffled and lowdim on denoisers whose basis is known, and their commands at smoke scale."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config, met
from jax.tree_util import Partial

from gahr import experiment, noise
from gahr.analysis import geometry
from gahr.classical.analytic import mixture
from gahr.data import calpha, ray, shuffled, waves
from gahr.denoiser import blind
from gahr.experiment.progress import Progress
from gahr.studies import STUDIES, bases, lowdim
from gahr.studies import shuffled as shuffled_study
from gahr.studies.shared.local_basis import (
    basis_arrays,
    basis_checks,
    fixed_bases,
    kept,
    on_contours,
    spread,
    swap_checks,
)
from gahr.studies.shared.study import Run

SIZE = 8
KEY = jax.random.key(0)


def times(matrix, noisy):
    return (noisy.reshape(*noisy.shape[:-3], SIZE**2) @ matrix.T).reshape(noisy.shape)


# symmetric and linear: each row of pixels is averaged with its neighbours, periodically
ROLLED = np.roll(np.eye(SIZE), 1, 0)
SMOOTH = jnp.asarray(np.kron((2 * np.eye(SIZE) + ROLLED + ROLLED.T) / 4, np.eye(SIZE)), jnp.float32)


def images_of(sample, number):
    return jax.jit(jax.vmap(functools.partial(sample, size=SIZE)))(jax.random.split(jax.random.key(1), number))


@pytest.fixture(scope="module")
def contours():
    return images_of(functools.partial(calpha.sample, alpha=3.0), 100)


def run_of(denoiser, made, **data):
    """A network and its images, test images from the front and others from the back; it knows what was asked for."""
    asked = set()

    def images(subset, number):
        asked.add((subset, number))
        return made[:number] if subset == "test" else made[-number:]

    return Run(None, blind(denoiser), images, {"size": SIZE} | data), asked


def analysed(study, networks, asked, **options):
    """Arrays of a study of some networks, each of which was asked for these images and no others."""
    runs = {name: run for name, (run, _) in networks.items()}
    arrays = study.analyze(num_bases=3, **options)(runs, KEY, progress=Progress())
    assert [found for _, found in networks.values()] == [asked] * len(networks)
    return arrays


def basis_of(matrix, clean, **options):
    """What is found, and what is said of it."""
    options |= dict(sigma=0.2, sigmas=jnp.array([0.2]), num_bases=len(clean), progress=Progress())
    found = basis_arrays("net", blind(Partial(times, matrix)), KEY, clean, **options)
    noisy = noise.add_noise(KEY, clean, 0.2)
    found = {name: np.asarray(value) for name, value in found.items()} | {"net/denoised_all": times(matrix, noisy)}
    said = {line.name.removeprefix("net: "): line for line in basis_checks(found, "net")}
    return {name.removeprefix("net/"): value for name, value in found.items()}, said


def test_a_linear_denoiser_has_the_same_known_basis_at_every_image():
    def measure(eigen, singular, x):
        first = on_contours(eigen.vectors, x[None], where=kept(0.4 * eigen.shrinkage))[0]  # where none is kept
        return {"all": singular.left, "mask": geometry.contour_mask(x), "first": first}

    clean = jax.random.uniform(KEY, (3, SIZE, SIZE, 1))
    found, said = basis_of(SMOOTH, clean, measure=measure)
    factors = np.sort(np.repeat((1 + np.cos(2 * np.pi * np.arange(SIZE) / SIZE)) / 2, SIZE))[::-1]
    np.testing.assert_allclose(found["shrinkage"], np.tile(factors, (3, 1)), atol=1e-5)
    np.testing.assert_allclose(found["singular_values"], found["shrinkage"], atol=1e-5)
    np.testing.assert_allclose(found["asymmetry"], 0, atol=1e-6)
    np.testing.assert_allclose(found["trace"], SIZE**2 / 2, rtol=1e-5)
    for quantity in ("coefficients", "eigen_coefficients"):
        np.testing.assert_allclose((found[quantity] ** 2).sum(1), jnp.sum(clean**2, (1, 2, 3)), rtol=1e-4)
    energy = found["eigen_coefficients"] ** 2
    np.testing.assert_allclose(found["oracle"], (energy / (energy + 0.04)).sum(1), rtol=1e-4)
    others = (found["coefficients"][1] + found["coefficients"][2]) / 2  # one basis at all images
    np.testing.assert_allclose(found["swapped_coefficients"][0], others, rtol=1e-4)
    above = found["all"][0][found["singular_values"][0] > 0.5, ..., 0] ** 2
    assert 20 < len(above) < 40
    np.testing.assert_allclose(found["participation"][0], np.mean(1 / (above**2).sum((1, 2))) / SIZE**2, rtol=1e-5)
    expected = [above[:, mask].sum(1).mean() for mask in found["mask"]]
    np.testing.assert_allclose(found["left/contour"], np.transpose([expected] * 3), rtol=1e-5)
    assert len(set(expected)) == 3
    assert 0 < found["first"][0] != pytest.approx(expected[0], rel=1e-3)
    np.testing.assert_allclose(found["linear"], found["denoised_all"], atol=1e-5)
    largest = said["largest eigenvalue, singular value"].measured
    assert largest == pytest.approx({"eigenvalues": 1, "singular values": 1}, abs=1e-5)


def test_swapped_images_say_whether_a_basis_is_an_images_own():
    bases = jnp.linalg.qr(jax.random.normal(KEY, (2, 64, 64)))[0].reshape(2, 64, SIZE, SIZE, 1)
    spectrum = jnp.broadcast_to(jnp.geomspace(4, 1e-3, 64), (2, 64))
    exact = mixture(jnp.full(2, 0.5), jnp.zeros((2, SIZE, SIZE, 1)), spectrum, bases)
    clean = 6 * jnp.stack([bases[0, 0], bases[1, 0], bases[0, 1]])
    fixed = fixed_bases((SIZE, SIZE, 1), images=clean)
    assert list(fixed) == ["PCA", "cosines", "wavelets"]
    assert list(fixed_bases((5, 4, 1))) == ["cosines"]  # 5 cannot be halved
    options = dict(sigma=0.2, sigmas=jnp.array([0.2]), num_bases=3, progress=Progress(), fixed=fixed)
    nulls = {"linear": blind(Partial(times, SMOOTH)), "identity": blind(Partial(times, jnp.eye(64)))}
    found = basis_arrays("net", exact, KEY, clean, nulls=nulls, **options)
    found = {name: np.asarray(value) for name, value in found.items()}
    np.testing.assert_allclose(np.diag(found["net/left/dimension"]), 1, atol=0.05)
    assert found["net/fixed/PCA"].max() < 3.01  # of three images
    np.testing.assert_allclose(found["net/projection"][0], clean[0], atol=0.02)  # of the first image, in its own basis
    assert jnp.linalg.norm(found["net/projection"][1]) < 0.8 * jnp.linalg.norm(clean[0])
    lines = {line.name.removeprefix("net: "): line for line in swap_checks(found, "net", swapped=1.5, contours=0.1)}
    own = lines["dimension of an image in its own left singular vectors"]
    assert list(own.theory)[:2] == ["another's", "PCA"]  # the least first
    ratio = lines["dimension in another's / own left singular vectors"]
    of = found["net/left/dimension"]
    assert ratio.value == pytest.approx((of.sum() - np.trace(of)) / 2 / np.trace(of), rel=1e-5)
    assert [null.mean for null in ratio.nulls.values()] == pytest.approx([1, 1], abs=1e-6)
    assert met(lines.values()) == [True, False]  # contours have nothing to do with these
    filtered = found | {name.replace("nulls/linear/", ""): found[name] for name in found if "linear" in name}
    filtered["net/clean"] = found["net/clean"]
    assert met(swap_checks(filtered, "net", swapped=1.5, contours=0.95)) == [False, False]


def test_the_overlap_says_how_far_the_two_decompositions_differ():
    clean, mixing = jax.random.uniform(KEY, (3, SIZE, SIZE, 1)), jax.random.normal(KEY, (64, 64)) / 8
    symmetric = mixing @ mixing.T + jnp.diag(jnp.linspace(0, 3, 64))
    skewed = symmetric + mixing - mixing.T
    np.testing.assert_allclose(basis_of(symmetric, clean)[0]["overlap"], 1, atol=1e-3)
    found, said = basis_of(skewed, clean)
    left, vectors = np.linalg.svd(skewed)[0][:, :10], np.linalg.eigh(symmetric)[1][:, -10:]
    np.testing.assert_allclose(found["overlap"], np.sum((left.T @ vectors) ** 2) / 10, atol=1e-3)
    assert found["overlap"].max() < 0.95
    line = said["overlap of 10 leading eigen- and left singular vectors"]
    assert line.theory == {"symmetric": 1, "chance": 10 / 64}
    assert line.measured == spread(found["overlap"])
    assert spread(np.array([1.0, 2.0, 3.0, 4.0])) == pytest.approx((2.5, (5 / 3 / 4) ** 0.5, None, None))
    assert spread(np.array([1.5])) == 1.5


def lowdim_arrays(*denoisers):
    sets = zip(("ray", "waves"), denoisers, (ray, waves), strict=True)
    networks = {name: run_of(denoiser, images_of(made.sample, 400), name=name) for name, denoiser, made in sets}
    options = dict(sigma={"ray": 0.04, "waves": 0.08}, num_images=400, num_fit=200)
    return analysed(lowdim, networks, {("test", 400), ("a", 200)}, **options)


def test_projections_alone_are_optimal_on_sets_of_one_and_two_dimensions():
    spans = ray.direction(size=SIZE)[None], waves.plane(size=SIZE)
    arrays = lowdim_arrays(*(Partial(lowdim._project, span) for span in spans))
    checks = lowdim.check(arrays, overlap=0.9, gain_share=0.5)
    assert met(checks) == [True] * 4
    # not the overlap with the span: most of the ten vectors belong to 0, and are any
    assert max(check.value for check in checks if "eigen- and left singular vectors" in check.name) < 0.9
    for name, dimension, above in (("ray", 1, 5.517), ("waves", 2, 2.507)):
        gain = arrays[f"{name}/psnr"] - arrays["input_psnr"]
        expected = 10 * np.log10(SIZE**2 / dimension) + above
        assert lowdim._optimal_gain(SIZE**2, dimension) == pytest.approx(expected, abs=2e-3)
        assert gain[:, 5].mean() == pytest.approx(expected, abs=4 * gain[:, 0].std() / 400**0.5)
        np.testing.assert_allclose(arrays[f"{name}/trace"], dimension, rtol=1e-4)
        np.testing.assert_allclose(arrays[f"{name}/psnr"], arrays[f"{name}/projection"], atol=0.05)
    marked = [check for check in checks if check.met is not None]
    assert {who for check in marked for who in check.nulls} == {"linear", "3x3 filter", "identity"}
    assert [check.met_by for check in marked] == [("linear",)] * 4  # which is nearly optimal here
    arrays = lowdim_arrays(*[Partial(times, 0.9 * jnp.eye(SIZE**2))] * 2)
    assert met(lowdim.check(arrays, overlap=0.9, gain_share=0.5)) == [False] * 4


def test_one_denoiser_in_two_orders_of_the_pixels_is_one_basis_and_one_curve(contours):
    order = shuffled.permutation(SIZE, 0)
    networks = {
        "plain": run_of(Partial(times, SMOOTH), contours),
        "shuffled": run_of(Partial(times, SMOOTH[order][:, order]), shuffled.shuffle(contours)),
    }
    arrays = analysed(shuffled_study, networks, {("test", 20), ("a", 80)}, num_images=20, num_fit=80, num_memorized=80)
    same = {"clean": 0, "shrinkage": 1e-5, "psnr": 1e-4, "nulls/linear/psnr": 5e-2, "oracle": 1e-2}
    same |= {"nulls/memorizer/psnr": 1e-3, "fixed/PCA": 0.5, "left/mse": 1e-5}
    for quantity, atol in same.items():
        np.testing.assert_allclose(arrays[f"shuffled/{quantity}"], arrays[f"plain/{quantity}"], atol=atol)
    vectors = arrays["shuffled/eigen_vectors"]  # unshuffled: eigenvectors of the plain smoothing filter
    pushed = times(SMOOTH, vectors) / arrays["shuffled/shrinkage"][:, :10, None, None, None]
    np.testing.assert_allclose(pushed, vectors, atol=1e-4)
    marks = dict(psnr_loss=2.5, slope_loss=0.05, swapped_loss=1.2)
    checks = shuffled_study.check(arrays, **marks)
    assert met(checks) == [False] * 3
    loss, slope, swap = (check.nulls for check in checks[1:4])
    assert abs(loss["linear"]) < 0.01
    assert loss["3x3 filter"] > 3  # it knows neighbours from others
    assert abs(slope["linear"]) < 0.01
    assert swap["linear"] == pytest.approx(1, abs=1e-5)
    worse = arrays | {"shuffled/psnr": arrays["shuffled/psnr"] - 0.1 * arrays["input_psnr"]}
    worse["plain/left/dimension"] = arrays["plain/left/dimension"] * (1.5 - 0.5 * np.eye(3))
    checks = shuffled_study.check(worse, **marks)
    assert met(checks) == [True] * 3
    np.testing.assert_allclose([check.value for check in checks[1:4]], (3, 0.1, 1.5), rtol=1e-3)


def test_bases_compare_each_exponent_with_the_next_lower(contours):
    from matplotlib import pyplot as plt

    networks = {  # the better denoiser on the rougher contours
        "rough": run_of(Partial(times, SMOOTH), contours, alpha=2.0),
        "smooth": run_of(Partial(times, jnp.eye(SIZE**2)), contours, alpha=4.0),
    }
    arrays = analysed(
        bases, networks, {("test", 40), ("a", 80), ("a", 30)}, num_images=40, num_fit=80, num_memorized=30
    )
    np.testing.assert_allclose(arrays["smooth/psnr"].mean(), 20 * np.log10(1 / 0.2), atol=0.3)
    checks = {check.name: check for check in bases.check(arrays, swapped=1.5, contours=0.95)}
    assert met(checks.values()) == [False] * 4  # both are fixed
    rise = checks["smooth: output PSNR less that of rough, dB"]
    assert rise.value == pytest.approx(arrays["smooth/psnr"].mean() - arrays["rough/psnr"].mean(), rel=1e-4)
    assert rise.value < 0
    assert rise.nulls["linear"].mean == pytest.approx(0, abs=1e-4)  # of one set
    seven = [f"net{i}" for i in range(7)]
    drawn = {key.replace("rough", name): arrays[key] for name in seven for key in arrays if key.startswith("rough/")}
    figure = bases.draw(drawn | {"runs": np.array(seven)})
    decay, _, _, errors = figure.subfigs[-1].axes
    assert len(decay.get_legend().get_texts()) == len(errors.containers) + 1 == 8  # and one for the singular values
    plt.close(figure)


@pytest.mark.parametrize(("name", "arg"), [("bases", "contour=1+3,background=3,"), ("shuffled", ""), ("lowdim", "")])
def test_smoke_run_end_to_end(tmp_path, name, arg):
    made = get_config(f"{arg}scale=smoke", file=name)  # networks of one training are compiled once
    experiment.train(made, tmp_path)
    checks = experiment.study(made, tmp_path)
    assert (tmp_path / "figures" / f"{name}.pdf").stat().st_size > 10_000
    assert all(check.met is None for check in checks)
    assert len(STUDIES[name].check(dict(np.load(tmp_path / "study.npz")))) == len(checks)
