"""Speed of training and of the network on this machine, beside the speed of its matrix product.

    python launch/benchmark.py
    python launch/benchmark.py --only=small --rounds=10 --output=benchmark.json
    python launch/benchmark.py --torch                              # in turns with PyTorch, where that is installed
    python launch/benchmark.py --jacobian=weights.npz --side=80     # what a Jacobian costs, of a published network
    python launch/benchmark.py --sampling --only=laptop             # what a sampler costs beside its denoiser

Images/s of a whole training step (noise, forward, backward, Adam) and of the forward pass in evaluation mode,
float32. A share is the convolutions' FLOP/s divided by the float32 matrix product's, measured in turns with
them, since a shared machine changes its speed. The best of all rounds is what the code can do, the median what
it did.
"""

import contextlib
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import flax
import jax
import jax.numpy as jnp
import jaxlib
import optax
from absl import flags, logging

from gahr.analysis import eigen, jacobian
from gahr.data import files
from gahr.denoiser import bind, blind, network_of
from gahr.experiment import build, command, memory
from gahr.experiment.estimate import forward_operations
from gahr.models import published
from gahr.models.layers import initialize
from gahr.models.unet import UNet
from gahr.objectives import denoising
from gahr.sampling import SAMPLERS, driver, schedules
from gahr.training import init_state, make_train_step


class Size(NamedTuple):
    """A UNet and its batch."""

    features: int
    num_blocks: int
    side: int
    batch: int


SIZES = {
    "tiny": Size(32, 1, 20, 64),
    "laptop": Size(16, 2, 32, 32),
    "small": Size(32, 2, 40, 32),
    "published": Size(64, 3, 80, 16),
}
COUNTING = (
    "FLOP: 2 per multiply-add of the 3x3 convolutions, border taps included, and of the 2x2 upsamplings, nothing "
    "else; 1 forward pass, and 3 for a training step. Products of 1024 x 1024 and 2048 x 2048 matrices, the faster."
)

FLAGS = flags.FLAGS
flags.DEFINE_multi_enum("only", None, list(SIZES), "Size to measure; repeat it for several. Default: all.")
flags.DEFINE_integer("rounds", 5, "Rounds, in each of which all are measured in turns.", 1)
flags.DEFINE_float("seconds", 1.0, "Seconds each of them runs in a round, at least one call.", 0.0)
flags.DEFINE_bool("torch", False, "Measure the same network in PyTorch too, in turns, with as many threads.")
flags.DEFINE_string("jacobian", None, "Measure the Jacobian of the published network in this file instead.")
flags.DEFINE_multi_integer("side", [80], "Sides of the image for --jacobian; repeat it for several.", 8)
flags.DEFINE_bool("sampling", False, "Measure samples/s by Euler's method and the share of them that is no denoising.")
flags.DEFINE_integer("steps", 16, "Steps of --sampling, each with one call of the denoiser.", 2)
flags.DEFINE_integer("columns", 64, "Columns of the Jacobian that are pushed through the network at a time.", 1)
flags.DEFINE_string("output", None, "JSON file to write the results to.")
flags.DEFINE_bool("debug", False, "Show the stack trace of an error.")


def rate(call: Callable[[], object], seconds: float) -> float:
    """Calls per second: the best of calls repeated for some seconds."""
    best, end = float("inf"), time.perf_counter() + seconds
    while True:
        start = time.perf_counter()
        jax.block_until_ready(call())
        now = time.perf_counter()
        best = min(best, now - start)
        if now >= end:
            return 1 / best


def product(side: int) -> Callable[[], object]:
    """A compiled float32 matrix product."""
    matrix = jax.random.normal(jax.random.key(0), (side, side))
    multiply = jax.jit(lambda a, b: jnp.matmul(a, b, precision="default"))
    jax.block_until_ready(multiply(matrix, matrix))
    return lambda: multiply(matrix, matrix)


def network(size: Size) -> tuple[Callable[[], object], Callable[[], object]]:
    """Compiled training step, which carries its state from call to call, and forward pass."""
    model = UNet(size.features, size.num_blocks)
    key = jax.random.key(0)
    images = jax.random.uniform(key, (size.batch, size.side, size.side, 1))
    variables = initialize(model, key, images.shape[1:])
    optimizer = optax.adam(1e-3)
    step = jax.jit(make_train_step(network_of(model), optimizer, denoising.loss, lambda _: images), donate_argnums=0)
    forward = jax.jit(model.apply)
    state = init_state(jax.tree.map(jnp.copy, variables), optimizer)

    def train() -> object:
        nonlocal state
        state, metrics = step(state, key)
        return metrics

    jax.block_until_ready((train(), forward(variables, images)))
    return train, lambda: forward(variables, images)


@contextlib.contextmanager
def torch_peer(size: Size) -> Iterator[Callable[[str, float], float]]:
    """Function ("train" or "forward", seconds) -> calls per second of the same network in PyTorch.

    It is a process of its own, as its users run it, that waits while it is not asked.
    """
    model = UNet(size.features, size.num_blocks)
    shapes = build.variable_shapes(model, (size.side, size.side, 1))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(shapes["params"]))
    line = [sys.executable, str(Path(__file__).parent / "torch_peer.py"), *map(str, size), str(os.cpu_count())]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as peer:
        if (found := peer.stdout.readline().strip()) != str(parameters):
            raise ValueError(f"the network in PyTorch has {found or 'no'} parameters, not {parameters}")

        def ask(name: str, seconds: float) -> float:
            print(name, seconds, file=peer.stdin, flush=True)
            return float(peer.stdout.readline())

        yield ask
        peer.stdin.close()


def measure(size: Size, rounds: int, seconds: float, *, torch: bool) -> dict:
    """Best and median over rounds of images/s, of the matrix product's GFLOP/s and of the shares.

    With torch, also the ratios to PyTorch's images/s: the median over rounds, the least and the largest.
    """
    products = {side: product(side) for side in (1024, 2048)}
    calls = dict(zip(("train", "forward"), network(size), strict=True))
    rows = {"matmul": [], "train": [], "forward": []}
    ratios = {"train": [], "forward": []}
    with torch_peer(size) if torch else contextlib.nullcontext() as peer:
        for _ in range(rounds):
            rows["matmul"].append(max(2e-9 * n**3 * rate(call, seconds / 4) for n, call in products.items()))
            for name, call in calls.items():
                own = rate(call, seconds)
                rows[name].append(size.batch * own)
                if peer:
                    ratios[name].append(own / peer(name, seconds))
    gflop = 1e-9 * forward_operations(UNet(size.features, size.num_blocks), (size.side, size.side, 1))
    result = {"size": size._asdict(), "forward_gflop_per_image": gflop}
    if torch:
        result["over_torch"] = {k: (statistics.median(v), min(v), max(v)) for k, v in ratios.items()}
    for name, summary in (("best", max), ("median", statistics.median)):
        matmul, train_rate, forward_rate = (summary(rows[key]) for key in rows)
        result[name] = {
            "matmul_gflops": matmul,
            "train_images_per_s": train_rate,
            "train_share": 3 * gflop * train_rate / matmul,
            "forward_images_per_s": forward_rate,
            "forward_share": gflop * forward_rate / matmul,
        }
    return result


def measure_jacobian(side: int, *, columns: int, k: int = 30, sigma: float = 0.15) -> dict:
    """Time of Jacobian columns and of the k leading eigenvectors at a photograph, against forward passes."""
    model, variables = published.load(FLAGS.jacobian)
    denoiser = bind(model, variables)
    channels = published.channels(variables)
    clean = jnp.asarray(files.read_image(files.photograph(), size=side, channels=channels))
    noisy = clean + sigma * jax.random.normal(jax.random.key(0), clean.shape)
    batch = jnp.broadcast_to(noisy, (columns, *noisy.shape))
    apply = jax.jit(lambda denoiser, noisy: denoiser(noisy))
    push = jax.jit(lambda denoiser, noisy, i: jacobian.columns(denoiser, noisy, i, chunk=columns))
    indices = jnp.arange(columns)
    jax.block_until_ready((apply(denoiser, batch), push(denoiser, noisy, indices)))
    forward, column = [], []

    def take_turns() -> None:
        for _ in range(FLAGS.rounds):
            forward.append(1 / rate(lambda: apply(denoiser, batch), FLAGS.seconds) / columns)
            column.append(1 / rate(lambda: push(denoiser, noisy, indices), FLAGS.seconds) / columns)

    top_eigenbasis = jax.jit(eigen.top_eigenbasis, static_argnames="k")

    def leading() -> jacobian.Eigenbasis:
        return jax.block_until_ready(top_eigenbasis(denoiser, noisy, k=k, key=jax.random.key(1)))

    leading()  # compiles
    take_turns()
    start = time.perf_counter()
    found = leading()
    top = time.perf_counter() - start
    take_turns()  # again, since a shared machine changes its speed
    one = statistics.median(column)
    period = min(side, 2 * getattr(model, "reach", side) + 1)
    return {
        "side": side,
        "forward_ms": 1e3 * statistics.median(forward),
        "column_ms": 1e3 * one,
        "column_over_forward": statistics.median(c / f for c, f in zip(column, forward, strict=True)),
        "matrix_s": one * noisy.size,  # from the columns measured
        "matrix_by_reach_s": one * channels * period**2,
        "products": int(found.num_products),
        "top_s": top,
        "speed_up": one * noisy.size / top,
        "residual": float(found.residuals.max()),
        "peak_gib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20,
    }


def print_jacobian(results: dict) -> None:
    print("Jacobian at a photograph by columns (extrapolated), and its 30 leading eigenvectors without it.")
    for side in FLAGS.side:
        results[side] = measure_jacobian(side, columns=FLAGS.columns)
        print("  ".join(f"{name} {value:.4g}" for name, value in results[side].items()), flush=True)


def measure_sampling(size: Size, batch: int, *, steps: int) -> dict:
    """Samples/s of a batch by Euler's method, and that of as many calls of its denoiser, in turns."""
    model = UNet(size.features, size.num_blocks)
    shape = (batch, size.side, size.side, 1)
    key = jax.random.key(0)
    denoiser = blind(bind(model, initialize(model, key, shape[1:])))
    noisy, sigma = jax.random.normal(key, shape), jnp.ones(batch)
    sampler = SAMPLERS["euler"](sigmas=schedules.karras(sigma_max=1.0, sigma_min=0.01, num_levels=steps))
    draw = jax.jit(lambda denoiser, key: driver.sample(sampler, denoiser, key, shape, chunk=batch)[0])
    call = jax.jit(lambda denoiser, noisy, sigma: denoiser(noisy, sigma))
    samples, forward = [], []
    jax.block_until_ready((draw(denoiser, key), call(denoiser, noisy, sigma)))
    for _ in range(FLAGS.rounds):
        forward.append(batch * rate(lambda: call(denoiser, noisy, sigma), FLAGS.seconds))
        samples.append(batch * rate(lambda: draw(denoiser, key), FLAGS.seconds))
    overheads = [1 - steps * s / f for s, f in zip(samples, forward, strict=True)]
    return {
        "steps": steps,
        "forward_images_per_s": statistics.median(forward),
        "samples_per_s": statistics.median(samples),
        "overhead": statistics.median(overheads),  # share of the time that is not the denoiser's
        "overheads": overheads,
        "best_overhead": 1 - steps * max(samples) / max(forward),  # of the best rounds, on a machine that is shared
    }


def print_sampling(results: dict) -> None:
    print(f"Samples by {FLAGS.steps} calls of the denoiser, and the share of the time that is not the denoiser's.")
    for name in FLAGS.only or SIZES:
        for batch in (1, 16, 64):
            found = measure_sampling(SIZES[name], batch, steps=FLAGS.steps)
            results[f"{name}, batch {batch}"] = found
            shares = [100 * share for share in found["overheads"]]
            print(f"{name:10} batch {batch:3}: {found['forward_images_per_s']:9.1f} images/s denoised, "
                  f"{found['samples_per_s']:8.2f} samples/s, overhead {statistics.median(shares):.1f} % "
                  f"({min(shares):.1f} to {max(shares):.1f}), of the best {100 * found['best_overhead']:.1f} %",
                  flush=True)  # fmt: skip


def main(argv: list[str]) -> None:
    command.refuse_arguments(argv)
    if FLAGS.sampling and (FLAGS.jacobian or FLAGS.torch):
        raise ValueError("--sampling measures neither --jacobian nor --torch; give one of the three")
    if (FLAGS.only or FLAGS.torch) and FLAGS.jacobian:
        raise ValueError("--only and --torch name what is trained, --jacobian measures none of it; give one of the two")
    if FLAGS.torch and importlib.util.find_spec("torch") is None:
        raise ValueError("--torch needs PyTorch, which is not installed here: pip install torch")
    memory.keep()
    logging.set_verbosity(logging.WARNING)  # JAX reports the backends it does not find
    versions = {"jax": jax.__version__, "jaxlib": jaxlib.__version__, "flax": flax.__version__}
    devices = [f"{device.platform} {device.device_kind}" for device in jax.devices()]
    results = {}
    print("devices:", ", ".join(devices), "| versions:", *(f"{name} {value}" for name, value in versions.items()))
    if FLAGS.jacobian:
        print_jacobian(results)
    elif FLAGS.sampling:
        print_sampling(results)
    else:
        print_speeds(results)
    if FLAGS.output:
        with open(FLAGS.output, "w") as file:
            report = {"devices": devices, "versions": versions, "counting": COUNTING, "sizes": results}
            json.dump(report, file, indent=2)


def print_speeds(results: dict) -> None:
    print(COUNTING)
    print(f"{'features blocks side batch':28}{'':8}{'matmul GFLOP/s':>15}{'train img/s':>13}{'share':>7}"
          f"{'forward img/s':>15}{'share':>7}")  # fmt: skip
    for name in FLAGS.only or SIZES:
        results[name] = measure(SIZES[name], FLAGS.rounds, FLAGS.seconds, torch=FLAGS.torch)
        for summary in ("best", "median"):
            r = results[name][summary]
            print(f"{name:10}{' '.join(map(str, SIZES[name])):18}{summary:8}{r['matmul_gflops']:15.0f}"
                  f"{r['train_images_per_s']:13.1f}{r['train_share']:7.2f}{r['forward_images_per_s']:15.1f}"
                  f"{r['forward_share']:7.2f}", flush=True)  # fmt: skip
        for kind, (median, least, largest) in results[name].get("over_torch", {}).items():
            print(f"{'':10}{kind} {median:.2f} times as fast as PyTorch ({least:.2f} to {largest:.2f})", flush=True)


if __name__ == "__main__":
    command.run(main)
