"""Settings of all tests, and a small trained network."""

import os
from importlib.metadata import version
from pathlib import Path

os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the threads of two processes would wait for each other
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")  # less to compile; 0 tests what users run
os.environ.setdefault("XLA_FLAGS", "")
if (
    os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"] == "1"
    and version("jaxlib").startswith("0.10.")  # a later XLA has no such flag, and would end at its name
    and "device_count" not in os.environ["XLA_FLAGS"]  # what is spread over devices must equal that on one, bit for bit
):
    os.environ["XLA_FLAGS"] += " --xla_cpu_use_fusion_emitters=false"  # 40 % less time to compile

import functools
import math
import re
import runpy
import signal
import subprocess
import sys
import warnings

import flax.linen as nn
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
import pytest
from absl import app, flags
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gahr import training
from gahr.data import calpha
from gahr.denoiser import bind, network_of
from gahr.experiment import pictures, report, storage
from gahr.models.layers import initialize
from gahr.models.unet import UNet
from gahr.objectives import denoising
from gahr.studies.shared.study import AtLeast, AtMost, Check, Estimate, within

ROOT = Path(__file__).parent.parent
ONE_DEVICE = {"XLA_FLAGS": re.sub(r"--xla_force_host_platform_device_count=\S+", "", os.environ["XLA_FLAGS"])}

jax.config.update("jax_numpy_rank_promotion", "raise")
jax.config.update(
    "jax_compilation_cache_dir", str(Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gahr")
)
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def with_unit_gains(variables, key):
    """The variables with standard normal gains: those drawn by `initialize` leave D(y) close to y."""
    params, treedef = jax.tree.flatten_with_path(variables["params"])
    leaves = [
        jax.random.normal(jax.random.fold_in(key, i), leaf.shape) if path[-1].key == "gain" else leaf
        for i, (path, leaf) in enumerate(params)
    ]
    return variables | {"params": jax.tree.unflatten(treedef, leaves)}


def get_config(arg="scale=smoke", *, file="calpha"):
    """What a file of `configs/` makes of the string after the colon."""
    return runpy.run_path(str(ROOT / "configs" / f"{file}.py"))["get_config"](arg)


def over(number):
    """The first axis spread over so many devices."""
    devices = jax.devices()[:number]
    assert len(devices) == number
    return NamedSharding(jax.make_mesh((number,), ("data",), (AxisType.Auto,), devices=devices), PartitionSpec("data"))


def python(*arguments, **environment):
    """What `python ARGUMENTS` did, with the root and the tests on its path."""
    environment = os.environ | {"PYTHONPATH": f"{ROOT}{os.pathsep}{ROOT / 'tests'}"} | environment
    line = [sys.executable, *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=300, check=False, env=environment)


def met(checks):
    """The verdicts of the lines that have a mark."""
    return [check.met for check in checks if check.met is not None]


def each(function, keys, **options):
    """Values of a function at the keys, one key at a time: much faster to compile than `jax.vmap`."""
    one = functools.partial(function, **options)
    return jax.tree.map(np.float64, jax.jit(lambda keys: jax.lax.map(one, keys))(keys))


def assert_follows(distribution, values):
    """Kolmogorov-Smirnov at 0.1 %."""
    ranks = (np.arange(np.size(values)) + 0.5) / np.size(values)
    assert np.abs(distribution(np.sort(np.ravel(values))) - ranks).max() < 1.95 / np.sqrt(np.size(values))


def assert_uniform(values, low=0.0, high=1.0):
    assert_follows(lambda value: (value - low) / (high - low), values)


@pytest.fixture(scope="module", autouse=True)
def room():
    """Figures are closed, and compiled programs let go of before they hold all memory maps, 65,530 a process."""
    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 30_000:
        jax.clear_caches()


class Told(nn.Module):
    """A network told sigma: the Wiener filter of images of independent pixels, whose variance is its parameter."""

    @nn.compact
    def __call__(self, noisy, sigma, *, train=False):
        variance = self.param("variance", nn.initializers.constant(2.0), ())
        square = jnp.expand_dims(sigma, (-3, -2, -1)) ** 2
        return noisy * square / (variance + square)


@pytest.fixture(scope="session")
def images():
    """Function (key, number) -> C^alpha images (number, 16, 16, 1)."""
    sample = jax.jit(jax.vmap(functools.partial(calpha.sample, size=16, alpha=3.0)))
    return lambda key, number: sample(jax.random.split(key, number))


@pytest.fixture(scope="session")
def trained(images):
    """(model, variables) of a UNet of 8 features and 2 blocks after 100 steps on 16 x 16 images."""
    model, key = UNet(features=8, num_blocks=2), jax.random.key(0)
    variables = with_unit_gains(initialize(model, key, (16, 16, 1)), key)
    optimizer = optax.adam(5e-3)
    step = jax.jit(training.make_train_step(network_of(model), optimizer, denoising.loss, lambda key: images(key, 16)))
    state = training.init_state(variables, optimizer)
    for _ in range(100):
        state, _ = step(state, key)
    return model, {"params": state.params, "batch_stats": state.batch_stats}


@pytest.fixture(scope="session")
def denoiser(trained):
    """Denoiser of the trained network."""
    return bind(*trained)


@pytest.fixture(scope="session")
def noisy(images):
    """Six noisy images (6, 16, 16, 1) of sigma 0.2 that the network has not seen."""
    return images(jax.random.key(100), 6) + 0.2 * jax.random.normal(jax.random.key(101), (6, 16, 16, 1))


@pytest.fixture
def launch(monkeypatch, capfd):
    """Function (program, *arguments) -> what a program of `launch/` did, run here: to start Python takes seconds."""
    app.define_help_flags()  # once for all, unlike those of the programs
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr("gahr.experiment.memory.keep", lambda: None)

    def run(program, *arguments):
        line = [f"launch/{program}.py", *map(str, arguments)]
        monkeypatch.setattr(sys, "argv", line)
        defined, handlers = set(flags.FLAGS), {number: signal.getsignal(number) for number in (2, 15)}
        capfd.readouterr()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)  # ml_collections has one
                runpy.run_path(line[0], run_name="__main__")
        except SystemExit as left:
            return subprocess.CompletedProcess(line, left.code or 0, *capfd.readouterr())
        finally:
            flags.FLAGS.remove_flag_values(set(flags.FLAGS) - defined)
            for number, handler in handlers.items():
                signal.signal(number, handler)

    return run


@pytest.fixture
def unclear(launch):
    """Function (program, {arguments: message}) -> the arguments that did not end in one line with that message."""

    def run(program, cases):
        done = {arguments: (launch(program, *arguments), message) for arguments, message in cases.items()}
        return [
            (arguments, found.stderr)
            for arguments, (found, message) in done.items()
            if found.returncode != 1 or not re.fullmatch(f"error: .*{re.escape(message)}.*\n", found.stderr)
        ]

    return run


@pytest.fixture(scope="session")
def drawn_runs(tmp_path_factory):
    """Two directories as a study leaves them, made by hand: bases at two images, a path, checks, and odd text."""
    root, random = tmp_path_factory.mktemp("drawn"), np.random.default_rng(0)
    vectors = np.linalg.qr(random.normal(size=(2, 64, 64)))[0].reshape(2, 64, 8, 8, 1)
    values = np.tile(np.linspace(1.2, -0.1, 64), (2, 1))
    basis = {f"{kind}_shown": np.roll(vectors[:, :4], i, axis=1) for i, kind in enumerate(("left", "right", "eigen"))}
    basis |= {"singular_values": np.abs(values), "shrinkage": values, "sigma": 0.1, "projection": vectors[:, 5] + 0.5}
    basis |= {"coefficients": 0.8 ** np.arange(128.0).reshape(2, 64), "swapped_coefficients": np.ones((2, 64))}
    basis |= {kind: np.full((8, 8, 1), level) for level, kind in enumerate(("clean", "noisy", "denoised"))}
    arrays = {"shown": np.array([0, 3, 9, 20])} | {f"network/{name}": value for name, value in basis.items()}
    for name in ("first", "second"):
        frames, workdir = random.uniform(size=(5, 2, 8, 8, 1)), root / name
        checks = [
            Check(
                "slope <b>|x|</b> & co", {"<i>": 0.5}, Estimate(0.75, 0.01), AtLeast(0.7), {"linear": 0.72, "3x3": 0.1}
            ),
            Check(f"only {name}", "</script><script>alert(1)</script>", math.inf, AtMost(2.0)),
            Check("idle", None, [1.0, 2.0], within(0.5, 1.0), {"identity": 1.0}),
        ]
        runs = {"long" * 30: {"weights": {"name": "kept/net.safetensors"}}}
        storage.claim(workdir, {"scale": "smoke", "seed": 7, "runs": runs, "study": {"name": "</code><script>"}})
        figure = plt.Figure(figsize=(1, 1))
        report.write(workdir, storage.read_config(workdir)["config"], [("basis", checks, figure)])
        np.savez(workdir / "study.npz", **arrays, analysis_seconds=12.0)
        pictures.animate(workdir / "path.apng", frames, frames, frames[-1])
    return [root / "first", root / "second"]
