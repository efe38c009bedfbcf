"""Learning curves on denoisers whose curves are known, and on the checkpoints of a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config, met
from jax.tree_util import Partial
from matplotlib import pyplot as plt

from gahr import experiment
from gahr.analysis import performance
from gahr.experiment import build, figures, planning, storage
from gahr.experiment.checkpoint import Checkpoints
from gahr.experiment.progress import Progress
from gahr.models.stored import export_arrays
from gahr.studies import learning
from gahr.studies.learning import STUDY
from gahr.studies.shared.study import Check, Run, Study

KEY = jax.random.key(0)


def images(subset, number):
    """White noise of some contrast: others in each subset."""
    random = np.random.default_rng(len(subset))
    return jnp.asarray(random.normal(size=(number, 6, 6, 1)), jnp.float32)


def scaled(factor, noisy, sigma):
    """factor y plus a rotation of each 2 x 2 block, which is antisymmetric."""
    turned = jnp.stack([-noisy[..., 1::2, :, :], noisy[..., ::2, :, :]], -3).reshape(noisy.shape)
    return factor * noisy + (1 - factor) * turned


@pytest.fixture(scope="module")
def arrays():
    """Of a denoiser that turns less and less; without, y / (1 + sigma^2) would be the best one."""
    stages = {20: lambda: Partial(scaled, 1 / 1.25), 10: lambda: Partial(scaled, 0.2)}
    run = Run(None, stages[20](), images, {}, initial=Partial(scaled, 0.0), stages=stages)
    options = dict(sigmas=(0.5,), sigma=0.5, num_images=8, num_bases=2, num_fit=20_000)
    return STUDY.analyze(**options)({"turning": run}, KEY, progress=Progress())


def test_stages_are_in_order_from_the_network_before_training(arrays):
    assert arrays["turning/images"].tolist() == [0, 10, 20]
    found = learning.curves(arrays, "turning")
    antisymmetric = np.array([1, 0.8, 0.2])
    expected = 2 * antisymmetric / np.hypot(antisymmetric, 1 - antisymmetric)
    np.testing.assert_allclose(found["asymmetry"], expected, rtol=1e-4)


def test_the_gain_is_over_the_linear_denoiser_on_test_images(arrays):
    clean = images("test", 8)
    curve = lambda denoiser: performance.psnr_curve(denoiser, KEY, clean, sigmas=[0.5]).psnr[:, 0]
    np.testing.assert_allclose(arrays["turning/psnr"][-1, 0], curve(lambda noisy: scaled(0.8, noisy, None)), rtol=1e-4)
    best = curve(lambda noisy: 0.8 * noisy)  # 1 / (1 + sigma^2)
    np.testing.assert_allclose(arrays["turning/linear/psnr"][0, 0], best, atol=0.1)


def test_a_fixed_linear_denoiser_has_no_gain_and_one_basis_for_all_images(arrays):
    fixed = learning._linear(arrays, "turning")
    assert fixed["gain 0.5"] == 0
    assert fixed["ratio"] == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(learning.curves(arrays, "turning")["ratio"], 1, atol=1e-6)


def test_the_mark_is_missed_by_the_linear_denoiser_and_met_by_one_above_it(arrays):
    (check,) = [check for check in STUDY.check(arrays, gain=0.0) if check.met is not None]
    assert check.met is False  # part of it still turns
    assert "linear" not in check.met_by
    better = arrays | {"turning/psnr": arrays["turning/psnr"] + 20}
    (check,) = [check for check in STUDY.check(better, gain=0.0) if check.met is not None]
    assert check.finding
    assert next(iter(check.measured)) == "20 images"
    assert not met(STUDY.check(arrays))


def test_images_needed_are_those_after_the_last_departure():
    numbers, curve = np.array([0, 1, 2, 4, 8]), np.array([5.0, 1.0, 3.0, 1.05, 1.0])
    assert learning.images_needed(numbers, curve, near=0.1) == 4
    assert learning.images_needed(numbers, curve, near=10) == 0


def test_the_figure_shows_every_run(arrays):
    figure = STUDY.draw(arrays)
    assert len([axes for axes in figure.axes if axes.lines]) == 5
    plt.close(figure)


@pytest.fixture
def half_finished(tmp_path):
    """The plan of a directory whose run calpha3 is finished and has two checkpoints, and the others are new."""
    config = get_config("scale=smoke", file="shipped")
    planned = planning.plan(config, tmp_path, only="calpha3")
    storage.claim(tmp_path, planned.config)
    state = build.new_state(planned.runs["calpha3"])
    checkpoints = Checkpoints(tmp_path / "calpha3" / "checkpoints")
    for step in (6, 20):
        state = state._replace(params=jax.tree.map(lambda leaf: leaf + 1, state.params))
        checkpoints.save(state, step)
    checkpoints.close()
    section = planned.config["runs"]["calpha3"]["model"]
    (tmp_path / "calpha3" / "denoiser.safetensors").write_bytes(
        export_arrays(build.variables_of(state), {"model": section})
    )
    return config, planned


def test_the_stages_of_a_run_are_those_of_its_checkpoints(half_finished):
    _, planned = half_finished
    run = figures._run(planned, "calpha3", {})
    assert list(run.stages) == [6 * 8, 20 * 8]
    first = lambda denoiser: jax.tree.leaves(denoiser)[-1]
    start, early, late = (first(each) for each in (run.initial, run.stages[48](), run.stages[160]()))
    np.testing.assert_allclose(early, start + 1, rtol=1e-6)
    np.testing.assert_allclose(late, start + 2, rtol=1e-6)
    np.testing.assert_array_equal(late, first(run.noise_denoiser))


def test_some_runs_alone_are_analysed_and_not_taken_for_all(half_finished):
    config, some = half_finished
    analyze = lambda **options: lambda runs, key, **progress: {"runs": np.array(list(runs))}
    check = lambda arrays, **marks: [Check(str(name), None, 0.0) for name in arrays["runs"]]
    some.studies["learning"] = some.studies["learning"]._replace(
        study=Study(analyze, check, lambda arrays, title: plt.figure()), analyze=analyze()
    )
    assert [check.name for check in experiment.study_planned(some)] == ["calpha3"]
    plt.close("all")
    with pytest.raises(ValueError, match="not trained yet: calpha1, calpha2"):
        experiment.study(config, some.workdir)
    stamps = [figures._stamp(some.studies["learning"], runs) for runs in (["calpha3"], list(some.runs))]
    assert [figures._stored_analysis(some.studies["learning"], stamp) is None for stamp in stamps] == [False, True]
