"""One more member of each kind is one function or class and one dictionary entry, and all of them work together."""

from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gahr import experiment, sampling
from gahr.config import base
from gahr.data import DATASETS
from gahr.data.dataset import synthetic
from gahr.denoiser import bind
from gahr.experiment import build
from gahr.experiment.planning import plan
from gahr.models import MODELS
from gahr.objectives import OBJECTIVES
from gahr.sampling.driver import sample
from gahr.sampling.sampler import Info, Sampler, normal
from gahr.studies import STUDIES
from gahr.studies.shared.study import AtLeast, Check, Study

# ---- the members ----


def stripes(key, *, size, period=4):
    phase = jax.random.uniform(key)
    row = 0.5 + 0.5 * jnp.sin(2 * jnp.pi * (jnp.arange(size) / period + phase))
    return jnp.broadcast_to(row[:, None], (size, size, 1))


class Gain(nn.Module):  # told sigma: D(y) = g y with g = a / (a + sigma^2)
    @nn.compact
    def __call__(self, noisy, sigma, *, train=False):
        power = nn.softplus(self.param("power", nn.initializers.zeros, ()))
        variance = jnp.broadcast_to(jnp.square(sigma), noisy.shape[:-3])[..., None, None, None]
        return noisy * variance / (power + variance)


def imitation(network, variables, key, clean, *, teacher=None, sigma=0.3):
    noisy = clean + sigma * jax.random.normal(key, clean.shape)
    residual, updates = network(variables, noisy, sigma, train=True)
    size = sum(jnp.sum(leaf**2) for leaf in jax.tree.leaves(variables["params"]))
    return jnp.mean((noisy - residual - teacher(noisy, sigma)) ** 2) + 1e-6 * size, updates


class Left(NamedTuple):
    images: jax.Array
    left: jax.Array  # (n,) repetitions


def repeated(*, times=3):  # y <- D(y)
    def step(denoiser, keys, state):
        denoised = denoiser(state.images)
        sigma = jnp.sqrt(jnp.mean((state.images - denoised) ** 2, (1, 2, 3)))
        return Left(denoised, state.left - 1), Info(denoised, sigma, state.left == 0, jnp.isnan(sigma))

    return Sampler(lambda keys, shape: Left(normal(keys, shape), jnp.full(len(keys), times)), step)


def analyze(*, number=4):
    def run(runs, key, *, progress, sharding=None):
        student = runs["student"]
        clean = student.images("test", number)
        return {"clean": np.asarray(clean), "denoised": np.asarray(student.noise_denoiser(clean, 0.3))}

    return run


def check(arrays, *, ratio=None):
    found = np.linalg.norm(arrays["denoised"]) / np.linalg.norm(arrays["clean"])
    return [Check("norm of denoised over clean", 1.0, found, AtLeast(ratio))]


def draw(arrays, *, title=""):
    from matplotlib import pyplot as plt

    return plt.figure()


# ---- the test ----


@pytest.fixture
def members(monkeypatch):
    for choices, name, member in (
        (DATASETS, "stripes", synthetic(stripes)),
        (MODELS, "gain", Gain),
        (OBJECTIVES, "imitation", imitation),
        (sampling.SAMPLERS, "repeated", repeated),
        (STUDIES, "toy", Study(analyze, check, draw)),
    ):
        monkeypatch.setitem(choices, name, member)
    config = base({name: dict(name="stripes", period=8) for name in ("student", "teacher")}, scale="smoke")
    config.unlock()
    config.runs.student.model = dict(name="gain")
    config.runs.student.objective = dict(name="imitation", teacher="teacher", sigma=0.3)
    config.runs.student.optim.peak = 0.5
    config.study = dict(name="toy", analysis=dict(number=2), marks=dict(ratio=0.1))
    return config


def test_a_toy_of_each_kind_is_trained_sampled_and_studied(members, tmp_path):
    with pytest.raises(ValueError, match="run student learns from run teacher, which is not trained yet"):
        plan(members, tmp_path, only="student")
    assert list(plan(members, tmp_path).runs) == ["teacher", "student"]  # in the order of training
    experiment.train(members, tmp_path)
    (found,) = experiment.study(members, tmp_path)
    assert found.met
    student, teacher = (experiment.load_denoiser(tmp_path, run=run) for run in ("student", "teacher"))
    noisy = jax.random.normal(jax.random.key(1), (3, 16, 16, 1))
    gain = lambda images: float(jnp.vdot(images, noisy) / jnp.vdot(noisy, noisy))
    assert abs(gain(student(noisy, 0.3)) - gain(teacher(noisy))) < abs(gain(noisy * 0.69 / 0.78) - gain(teacher(noisy)))
    samples, trace = sample(
        sampling.SAMPLERS["repeated"](times=2), teacher, jax.random.key(0), (3, 16, 16, 1), max_steps=5
    )
    keys = [jax.random.fold_in(jax.random.fold_in(jax.random.key(0), i), 0) for i in range(3)]
    start = jnp.stack([jax.random.normal(key, (16, 16, 1)) for key in keys])
    np.testing.assert_allclose(samples, teacher(teacher(start)), rtol=1e-4, atol=1e-5)
    assert trace.steps.tolist() == [2, 2, 2]


def test_a_teacher_that_cannot_take_the_images_is_refused_before_it_is_trained(members, tmp_path):
    members.runs.student.data.size = 15
    with pytest.raises(ValueError, match=r"run student: objective\.teacher: image side 15 is not divisible"):
        plan(members, tmp_path)


def test_teachers_of_each_other_are_refused(members, tmp_path):
    members.runs.teacher.objective = dict(name="imitation", teacher="student")
    with pytest.raises(ValueError, match="runs learn from each other: student, teacher, student"):
        plan(members, tmp_path)


def test_a_run_starts_from_the_network_of_another(members, tmp_path):
    members.runs.student = members.runs.teacher.copy_and_resolve_references()
    members.runs.student.start = "teacher"
    members.runs.student.optim.num_steps = 1
    members.runs.student.optim.peak = 1e-9
    experiment.train(members, tmp_path)
    noisy = jax.random.normal(jax.random.key(1), (3, 16, 16, 1))
    student, teacher = (experiment.load_denoiser(tmp_path, run=run) for run in ("student", "teacher"))
    parts = plan(members, tmp_path).runs["student"]
    initial = bind(parts.model, build.variables_of(build.new_state(parts)))
    departure = lambda denoiser: float(jnp.linalg.norm(denoiser(noisy) - teacher(noisy)))
    assert departure(student) < 0.3 * departure(initial)  # norms' statistics moved by a step
    members.runs.student.model.features = 4
    with pytest.raises(ValueError, match="run student: start: teacher has another network than student"):
        plan(members, tmp_path / "other")
    members.runs.student.start = "techer"
    with pytest.raises(ValueError, match="run student: start: no run is named 'techer'; did you mean teacher"):
        plan(members, tmp_path / "other")
