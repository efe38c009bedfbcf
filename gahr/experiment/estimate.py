"""What a config will cost on this machine, before it runs."""

import json
import math
import time
from collections.abc import Mapping
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp

from gahr import experiment
from gahr.experiment.build import build, new_state, train_step_of
from gahr.config import SCALES
from gahr.experiment.loop import compile_step
from gahr.models.layers import Conv, Upsample

_TRAINING_SHARE = 0.5  # of the matrix-product rate that a training step is assumed to reach
_PASSES = 3  # forward, input gradient and weight gradient


def matmul_rate(*, size: int = 1024, repeats: int = 3) -> float:
    """Best float32 matrix-product rate of `repeats` tries on one device, operations per second."""
    matrix = jnp.ones((size, size))
    product = jax.jit(jnp.matmul).lower(matrix, matrix).compile()
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        product(matrix, matrix).block_until_ready()
        best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def forward_operations(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Operations of the convolutions and upsampling products for one image, a multiply-add counted as 2."""
    total = 0

    def count(call, args, kwargs, context):
        nonlocal total
        out = call(*args, **kwargs)
        if isinstance(context.module, Conv | Upsample):
            taps = 9 if isinstance(context.module, Conv) else 1
            total += 2 * out.size * taps * args[0].shape[-1]
        return out

    with nn.intercept_methods(count):
        jax.eval_shape(model.init, jax.random.key(0), jax.ShapeDtypeStruct((1, *image_shape), jnp.float32))
    return total


def training_seconds(config: Mapping, workdir: Path, *, only: str = "*") -> float:
    """Expected time here of what is left to train, from its operations and the matrix-product rate."""
    operations = 0.0
    for name in experiment.chosen(config, only=only):
        run, parts = config["runs"][name], build(config, name)
        images = run["optim"]["batch_size"] * run["optim"]["num_steps"]
        left = 1 - experiment.share_done(config, workdir, name)
        operations += left * _PASSES * forward_operations(parts.model, parts.image_shape) * images
    return operations / (matmul_rate() * _TRAINING_SHARE)


def duration(seconds: float) -> str:
    """Such as "40 seconds", "12 minutes", "3.5 hours" or "9 days"."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}"
    return f"{max(1, round(seconds))} seconds"


def summary(config: Mapping, workdir: Path, *, only: str = "*") -> list[str]:
    """What will run, why at this scale, for how long, and where it goes: two lines."""
    place = f"run directory {workdir}; the same command resumes it"
    count = len(experiment.chosen(config, only=only))
    if not count:
        return ["nothing to train", place]
    expected = duration(training_seconds(config, workdir, only=only))
    others = "|".join(scale for scale in SCALES if scale != config["scale"])
    return [
        f"scale {config['scale']} ({config['scale_reason']}): {count} network{'s' * (count > 1)}, about {expected} of "
        f"training on this machine; for another, add scale={others} after the colon of --config",
        place,
    ]


def details(config: Mapping, workdir: Path, *, only: str = "*") -> str:
    """Resolved config, devices, and for each run that matches its parameter table, shapes, memory and time."""
    devices = ", ".join(str(device) for device in jax.devices())
    lines = [json.dumps(experiment.plain(config), indent=2), f"devices: {devices}"]
    for name in experiment.chosen(config, only=only):
        run, parts = config["runs"][name], build(config, name)
        state = jax.eval_shape(lambda parts=parts: new_state(parts))
        flat, _ = jax.tree.flatten_with_path(state.params)
        lines.append(f"\nrun {name}: {run['optim']['batch_size']} images of {parts.image_shape} a step")
        for path, leaf in flat:
            label = "/".join(part.key for part in path)
            lines.append(f"  {label:<32} {leaf.shape!s:<22} {leaf.size:>12,}")
        lines.append(f"  {'parameters':<32} {'':<22} {sum(leaf.size for _, leaf in flat):>12,}")
        if experiment.finished(workdir, name):
            lines.append("  already trained")
            continue
        compiled = compile_step(train_step_of(parts), state, parts.key)
        memory = compiled.memory_analysis()
        size = (memory.temp_size_in_bytes + memory.argument_size_in_bytes) / 2**20
        lines.append(f"  memory of a training step: about {size:,.0f} MiB per device")
    lines.append(f"\nestimated training time here: {duration(training_seconds(config, workdir, only=only))}")
    return "\n".join(lines)
