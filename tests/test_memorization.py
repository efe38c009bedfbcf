"""The studies transition and twins on denoisers that memorize and that generalize, and their command."""

import functools
import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config, met
from jax.tree_util import Partial

from gahr import experiment, metrics, noise
from gahr.analysis.transition import Interval
from gahr.denoiser import blind
from gahr.experiment import report
from gahr.experiment.progress import Progress
from gahr.sampling.blind import expected_steps
from gahr.studies import transition, twins
from gahr.studies.shared.families import estimate, families, nearest_size, over_repeats, repeats
from gahr.studies.shared.study import Run

SIZE = 8
KEY = jax.random.key(0)
STREAM = {"a": 1, "b": 2, "test": 3}


config = functools.partial(get_config, file="memorization")


def images(subset, number):
    return jax.random.uniform(jax.random.fold_in(KEY, STREAM[subset]), (100, SIZE, SIZE, 1))[:number]


def copy_of(training, noisy):
    """The nearest training image: the exact denoiser of point masses where the noise is small."""
    flat = noisy.reshape(-1, 1, SIZE * SIZE) - training.reshape(1, len(training), -1)
    return training[jnp.argmin(jnp.sum(flat**2, -1), -1)].reshape(noisy.shape)


def halve(noisy):
    return 0.25 + noisy / 2  # towards mid-grey


def run_of(number, subset, *kind):
    """Memorizing at N = 1 and 10, generalizing at 100."""
    memorizing = Partial(copy_of, images(subset, number)[jnp.arange(10) % number])
    denoiser = memorizing if number < 100 else Partial(halve)
    of = lambda name, most: images(name, min(most, number) if name == subset else most)
    return Run(denoiser, blind(denoiser), of, {}, subset, number, *kind)


@pytest.fixture(scope="module")
def runs():
    return {f"{number}{subset}": run_of(number, subset, "net") for number in (100, 1, 10) for subset in ("b", "a")}


def table(checks):
    return {check.name: check.measured for check in checks}


def test_runs_are_paired_ordered_and_grouped_by_what_they_say_of_themselves(runs):
    grouped, arrays = families(runs)
    assert {name: list(pairs) for name, pairs in grouped.items()} == {"net": [1, 10, 100]}
    assert [run.subset for run in grouped["net"][10]] == ["a", "b"]
    assert repeats(arrays) == {"net": ["net"]}
    with pytest.raises(ValueError, match="net needs networks of the subsets a and b at N = 10"):
        families({name: run for name, run in runs.items() if name != "10b"})
    with pytest.raises(ValueError, match="again must differ"):
        families(runs | {"again": runs["1a"]})
    kinds = [("x_repeat1", 0), ("large_n1", 3), ("x_repeat1", 10)]  # words in which nothing is sought
    grouped, arrays = families({f"{i}{s}": run_of(1, s, *kind) for i, kind in enumerate(kinds) for s in "ab"})
    assert list(grouped) == ["x_repeat1, repeat 0", "x_repeat1, repeat 10", "large_n1"]
    assert repeats(arrays) == {"x_repeat1": list(grouped)[:2], "large_n1": ["large_n1"]}


def test_repeats_are_a_mean_and_a_range_and_collages_are_drawn_where_n_is_nearest_to_100():
    single = Interval(0.5, 0.4, 0.7)
    assert over_repeats([single]) == single
    assert over_repeats([single, Interval(0.9, 0.1, 1.0)]) == (pytest.approx(0.7), 0.5, 0.9)
    assert estimate(single) == (0.5, None, 0.4, 0.7)
    assert estimate(Interval(np.ones(2), np.ones(2), np.array([1, 2.0])), k=0) == 1
    assert [nearest_size(sizes) for sizes in ([1, 10, 100, 1000], [1, 4], [20, 600])] == [100, 4, 20]  # as a ratio


@pytest.fixture(scope="module")
def curves(runs):
    return transition.analyze(num_images=16, num_levels=8)(runs, KEY, progress=Progress())


def test_denoisers_are_told_apart_by_gap_and_distances(curves):
    train, test, gaps = curves["net/train/network"], curves["net/test/network"], transition.gaps(curves, ["net"])[0]
    assert train.shape == (3, 2, 16, 8)
    assert np.all(np.isinf([train[0], curves["net/train/memorizer"][0]]))  # one image is known without error
    np.testing.assert_allclose(test[0].mean((0, 1)), test[0, :, :, 0].mean(), rtol=1e-6)  # and returned always
    np.testing.assert_allclose(curves["net/test/memorizer"][0], test[0], rtol=1e-5)
    small = curves["input_psnr"] >= 36
    np.testing.assert_allclose(curves["net/to_memorizer/network"][1][small, 0], 0, atol=1e-6)
    assert np.all(curves["net/to_twin/network"][1][:, 0] > 0.05)
    np.testing.assert_allclose(curves["net/to_twin/network"][2][:, 0], 0, atol=1e-12)
    assert np.all(curves["net/to_memorizer/network"][2][small, 0] > 0.01)
    np.testing.assert_allclose(gaps[2], 0, atol=1e-5)  # the same function
    assert np.all(gaps[1][small] > 10)
    sigma = np.asarray(metrics.sigma_of_input_psnr(curves["input_psnr"]))
    told = curves | {"net/unseen/network": test, "net/train/network": test + sigma[None, None, None]}  # gap sigma
    np.testing.assert_allclose(transition.mean_gap(told, ["net"]), (sigma[0] + sigma[-1]) / 2, rtol=1e-4)


def test_nulls_have_the_gap_and_the_transition_that_they_must(curves):
    """The linear denoiser of one image is the projection on it; the gap of that of many falls as they grow."""
    levels, of_linear = curves["input_psnr"], curves["net/train/linear"]
    clean, normal = images("a", 1)[0], noise.standard_normal(KEY, images("a", 1)[jnp.zeros(16, int)])
    energy = float(jnp.sum(clean**2))
    along = np.asarray(jnp.tensordot(normal, clean, 3))[:, None] * 10 ** (-levels / 20)[None] / energy
    gain = energy / (energy + 10 ** (-levels / 10))
    error = np.abs(1 - gain * (1 + along)) * np.sqrt(energy / SIZE**2)
    np.testing.assert_allclose(10 ** (-of_linear[0, 0] / 20), error, atol=1e-4)
    gaps = transition.gaps(curves, ["net"], who="linear")[0]
    assert gaps[0, 4] > gaps[1, 4] > gaps[2, 4] > 0
    for who in ("3x3 filter", "identity"):
        assert np.all(transition.gaps(curves, ["net"], who=who) == 0)
    assert np.all(transition.gaps(curves, ["net"], who="memorizer")[0, :2] > 5)


def test_marks_of_the_transition(curves):
    levels, linear = curves["input_psnr"], curves["net/test/linear"]
    marks = dict(slope_at_one=(0.9, 1.05), gap_at_one=10, gap_at_largest=0.2, gain_at_largest=1)
    for slope, first, gap, gain, expected in ((1, 12, 0.1, 2, True), (1.2, 8, 0.3, 0.5, False)):
        train = np.array(linear)
        train[0] = 20 + slope * levels
        gap_at = np.array([first, 5, gap]).reshape(3, 1, 1, 1)
        told = {"net/train/network": train, "net/unseen/network": train - gap_at, "net/test/network": linear + gain}
        checks = transition.check(curves | told, **marks)
        assert met(checks) == [expected] * 4
        values = [check.value for check in checks if check.met is not None]
        assert values == pytest.approx([slope, first, gap, gain], abs=1e-4)
    nulls = {check.name.partition(": ")[2].partition(",")[0]: set(check.met_by) for check in checks if check.mark}
    assert nulls["slope of training PSNR at N = 1"] >= {"identity", "linear"}
    assert nulls["test PSNR above the linear denoiser"] == set()


@pytest.fixture(scope="module")
def samples(runs):
    return twins.analyze(num_samples=16, beta=1.0, growing=True, sigma_stop=0.01)(runs, KEY, progress=Progress())


def test_memorizers_return_their_images_and_twins_agree_where_they_generalize(samples):
    np.testing.assert_allclose(samples["net/nearest"][:2], 1, atol=1e-5)
    assert np.median(samples["net/twin"][0]) < 0.9
    np.testing.assert_allclose(samples["net/twin"][2], 1, atol=1e-5)  # the same function of the same noise
    assert samples["net/diverged"].sum() == 0
    late = samples["net/steps"][0] - samples["expected_steps"]  # no noise added, all removed: the recursion, from a
    assert np.all(np.abs(late) <= 1)  # first sigma within some per cent of 1, and the last steps are long
    assert samples["net/patches"][1, 0] == pytest.approx(1, abs=1e-5)
    assert samples["net/patches"][1, 1] < 0.999
    for subset in "ab":
        shown = samples[f"shown/10/sample_{subset}"]
        np.testing.assert_allclose(shown, samples[f"shown/10/nearest_{subset}"], atol=1e-5)
    assert samples["collage/set_size"] == 100
    for kind, subset in (("own", "a"), ("other", "b")):
        corners, first = np.asarray(images(subset, 100))[:, :4, :4], samples[f"collage/{kind}"][:, :4, :4]
        assert first.shape == (4, 4, 4, 1)
        assert all(np.any(np.all(corners == corner, (1, 2, 3))) for corner in first)
        assert samples[f"collage/{kind}_similarity"].shape == (4,)
    assert samples["parting/frames"].shape[2:] == (SIZE, SIZE, 1)
    np.testing.assert_allclose(samples["parting/similarity"], 1, atol=1e-4)


def test_twins_are_compared_in_their_subspaces_and_with_the_closest_pairs_of_their_sets(samples):
    np.testing.assert_allclose(samples["net/closest"].sum(1), 1, rtol=1e-6)
    middles = (twins.analysis.BINS[1:] + twins.analysis.BINS[:-1]) / 2
    assert samples["net/closest"][2] @ middles == pytest.approx(samples["net/floor"][2], abs=0.05)
    np.testing.assert_allclose(samples["net/chance"], 10 / SIZE**2, rtol=1e-6)
    same = table(twins.check(samples))["net: overlap of leading left singular vectors of twins at one image, N = 100"]
    assert same["one image"] == pytest.approx(1, abs=1e-4)  # one function, whatever of its equal vectors are found


def test_subspaces_that_turn_with_the_image_are_alike_at_one_image_only():
    masks = [jnp.zeros(SIZE * SIZE).at[10 * i : 10 * i + 10].set(1.0).reshape(SIZE, SIZE, 1) for i in range(3)]
    clean = jnp.stack(masks)
    keeps = Partial(lambda clean, noisy: noisy * clean[jnp.argmax(jnp.sum(clean * noisy[None], (1, 2, 3)))], clean)
    net = run_of(100, "a", "net")._replace(denoiser=keeps)
    found = twins.analysis._subspaces((net, net), [images(s, 100) for s in "ab"], KEY, clean + 0.01)
    np.testing.assert_allclose(found["subspaces"], 1, atol=1e-5)
    np.testing.assert_allclose(found["subspaces_swapped"], 0, atol=1e-5)
    principal = [np.linalg.svd(images(s, 100).reshape(100, -1))[2][:10] for s in "ab"]
    assert found["subspaces_linear"] == pytest.approx(np.sum((principal[0] @ principal[1].T) ** 2) / 10, abs=1e-3)


@pytest.mark.parametrize(("start", "mean"), [("grey", 0.5), ("mean", 0.1)])
def test_samples_start_about_grey_or_about_the_mean_of_the_test_images(start, mean):
    stays = Partial(lambda noisy: noisy + 0 * noisy)
    dark = lambda subset, number: jnp.full((number, SIZE, SIZE, 1), 0.1) + 1e-3 * images(subset, 1)[:1]
    runs = {s: Run(stays, blind(stays), dark, {}, s, 1, "net") for s in "ab"}
    options = dict(num_samples=6, max_steps=1, frame_every=1, start=start)
    found = twins.analyze(**options)(runs, KEY, progress=Progress())
    assert found["parting/frames"].mean() == pytest.approx(mean, abs=0.15)  # 64 pixels of sigma = 1


def test_marks_of_the_twins(samples):
    marks = dict(memorized=0.95, twin_at_largest=0.93, lead_at_largest=0.15)
    for share, expected in ((1.0, True), (0.5, False)):
        flat = share * samples["net/kurtosis_of_images"] * np.ones((3, 2, 1))
        assert met(twins.check(samples | {"net/kurtosis": flat}, kurtosis_at_largest=0.8)) == [expected]
    checks = twins.check(samples, **marks)
    assert met(checks) == [True, True, True]
    copies = table(checks)["net: nearest image where twins are less alike"]
    assert copies == pytest.approx({"least": 1, "N = 1": 1, "best N from 10": 1}, abs=1e-5)
    assert 10 < table(checks)["net: N at which twins overtake nearest images"].mean < 100
    swapped = samples | {f"net/{name}": samples[f"net/{name}"][::-1] for name in ("nearest", "twin")}
    assert met(twins.check(swapped, **marks)) == [False, False, False]
    for name, value, copied in (("nearest", 0.9, False), ("twin", 1.001, False), ("twin", 0.2, True)):
        for k in (0, 1):  # copies are needed at N = 1, and at 10 or more, with twins less alike
            changed = np.array(samples[f"net/{name}"])
            changed[k] = value
            assert met(twins.check(samples | {f"net/{name}": changed}, **marks)) == [True, copied, True]
    halved = samples["net/nearest"] * np.array([1.0, 0.0]).reshape(2, 1)  # both networks of a pair count
    first, share, *_ = twins.check(samples | {"net/nearest": halved})
    assert (first.measured["nearest"], share.measured.mean) == (pytest.approx(0.5), 0)


def repeated(arrays, *shifts, other=()):
    """A study of repeats of "net", each with quantities that differ by its shift, and of other kinds like it."""
    own = {key.removeprefix("net/"): value for key, value in arrays.items() if key.startswith("net/")}
    names, kinds = [f"net, repeat {i}" for i in range(len(shifts))] + list(other), ["net"] * len(shifts) + list(other)
    for name, shift in zip(names, [*shifts, 0.0], strict=False):
        moved = {key: own[key] + shift for key in ("test/network", "twin") if key in own}
        arrays = arrays | {f"{name}/{key}": value for key, value in (own | moved).items()}
    return arrays | {"families": np.array(names), "kinds": np.array(kinds)}


def test_repeats_are_one_line_with_mean_and_range_and_one_curve(samples, curves):
    checks = twins.check(repeated(samples, 0.0, -0.1, -0.2), twin_at_largest=0.93)
    found = table(checks)["net (mean, range of 3): twin, nearest image, N = 100"]["twin"]
    assert (met(checks), found) == ([False], pytest.approx((0.9, None, 0.8, 1), abs=1e-5))
    finite = curves | {f"net/{name}/network": curves["net/test/network"] for name in ("train", "unseen")}
    name = "test PSNR above the linear denoiser, 20 dB, N = 100, dB"
    gain = table(transition.check(finite))[f"net: {name}"]
    found = table(transition.check(repeated(finite, 0.0, 1.0)))[f"net (mean, range of 2): {name}"]
    assert found == pytest.approx((gain + 0.5, None, gain, gain + 1))


def test_figures_show_each_quantity_and_kind_once_and_name_them_outside_the_axes(samples, curves):
    from matplotlib import pyplot as plt

    figure = twins.draw(repeated(samples, 0.0, -0.1, other=["other"]))
    medians = figure.subfigs[-2].subfigs[0]
    (axes,) = medians.axes
    assert axes.get_legend() is None
    words = [text.get_text() for text in medians.legends[0].get_texts()]
    assert words[:3] == ["twin", "nearest image", "closest pairs of the sets"]
    assert words[-2:] == ["net", "other"]
    finite = {f"net/{name}/network" for name in ("train", "unseen")}
    finite = curves | {name: np.minimum(curves[name], 60) for name in finite}
    figure = transition.draw(repeated(finite, 0.0, -0.1, other=["other"]))
    for axes, words, name in zip(figure.subfigs[0].axes, ("Training", "Test"), ("train", "test"), strict=True):
        assert axes.get_title() == f"{words} images"
        np.testing.assert_allclose(axes.lines[2].get_ydata(), finite[f"net/{name}/network"][1].mean((0, 1)), rtol=1e-6)
    plt.close("all")


def test_steps_follow_the_published_recursion():
    for stop, growing, steps in [(0.05, False, 2995), (0.05, True, 97), (0.01, True, 127)]:
        assert expected_steps(1.0, stop, 0.01, 0.1, growing=growing) == steps


def test_samples_are_not_drawn_from_networks_that_are_told_sigma(runs):
    told = runs | {"1a": runs["1a"]._replace(denoiser=None)}
    with pytest.raises(ValueError, match="not told sigma; told are 1a"):
        twins.analyze()(told, KEY, progress=Progress())


def test_smoke_run_end_to_end_draws_both_figures(tmp_path):
    made = config("scale=smoke,set_sizes=4")
    experiment.train(made, tmp_path)
    weights = tmp_path / "size8_features8_n4_b" / "denoiser.safetensors"
    weights.rename(tmp_path / "aside")
    planned = experiment.plan(config("scale=smoke"), tmp_path / "both")._replace(workdir=tmp_path)
    heading, *rows = report.states(planned)  # a table of numbers of images and subsets
    assert heading.split() == ["a", "b"]
    assert [row.rpartition("N = ")[2].split() for row in rows] == [["1", "-", "-"], ["4", "trained", "100%"]]
    (tmp_path / "aside").rename(weights)
    checks = experiment.study(made, tmp_path)
    for name in ("transition", "twins"):
        assert (tmp_path / "figures" / f"{name}.pdf").stat().st_size > 10_000
        assert (tmp_path / f"study_{name}.npz").exists()
        assert f"figures/{name}.png" in (tmp_path / "report.md").read_text()
    with np.load(tmp_path / "study_twins.npz") as stored:
        assert np.all(stored["size 8, features 8/steps"] > 0)
    results = json.loads((tmp_path / "results.json").read_text())
    assert results["study"] == "transition+twins+explain"
    assert len(results["checks"]) == len(checks)


def test_variants_are_a_grid_of_sizes_features_and_repeats():
    made = config("scale=smoke,features=4+8,set_sizes=2+1,repeats=2,average=0.9")
    assert len(made.runs) == 2 * 2 * 2 * 2
    run = made.runs["size8_features4_repeat1_n2_b"]
    assert (run.model.features, run.repeat, run.set_size, run.subset, run.optim.average) == (4, 1, 2, "b", 0.9)


def test_both_networks_the_sampler_and_the_steps_of_the_paper_are_arguments():
    made = config("scale=smoke,model=unet+bfcnn,set_sizes=1,beta=1,start=mean")
    assert [run.variant for run in made.runs.values()] == [
        f"size 8, features 8, {model}" for model in ("bfcnn", "unet") for _ in "ab"
    ]
    assert made.runs.size8_features8_bfcnn_n1_b.model.num_layers == 4
    assert (made.study.twins.analysis.beta, made.study.twins.analysis.start) == (1.0, "mean")
    steps = {run.set_size: run.optim.num_steps for run in config("scale=paper").runs.values()}
    assert steps == dict.fromkeys((1, 10, 100, 1_000, 10_000), 489_000) | {100_000: 388_000}
    with pytest.raises(ValueError, match="one network twice"):
        config("scale=smoke,model=unet+unet")


@pytest.mark.parametrize(
    ("set_sizes", "transition_marks", "twins_marks"),
    [
        ("1+10+1000", 4, 4),
        ("10+30", 0, 0),  # no N = 1, and nothing that generalizes
        ("1+10+100", 2, 1),
        ("1+1000", 4, 3),
    ],
)
def test_marks_are_asked_for_at_the_set_sizes_they_were_set_for(set_sizes, transition_marks, twins_marks):
    study = config(f"scale=laptop,set_sizes={set_sizes}").study
    assert (len(study.transition.marks), len(study.twins.marks)) == (transition_marks, twins_marks)
    for scale in ("laptop", "gpu", "paper"):
        study = config(f"scale={scale}").study
        assert (len(study.transition.marks), len(study.twins.marks)) == (4, 4)


def test_runs_of_one_network_and_image_set_share_what_is_compiled(tmp_path, caplog):
    planned = config("scale=smoke")
    for run in planned.runs.values():
        run.optim.num_steps = 1
    with jax.log_compiles():
        experiment.train(planned, tmp_path, only="*_n4_?")
        caplog.clear()
        experiment.train(planned, tmp_path)  # another number of images
    assert "Finished tracing" in caplog.text
    assert re.findall(r"Compiling jit\((.*?)\)", caplog.text) == []
