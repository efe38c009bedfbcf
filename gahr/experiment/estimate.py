"""What a config will cost on this machine, before it runs."""

import functools
import json
import math
import time
from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp

from gahr.config import SCALES
from gahr.denoiser import bind_told
from gahr.experiment import build
from gahr.experiment.loop import compile_step
from gahr.experiment.planning import Plan

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


@functools.lru_cache
def forward_operations(model: Any, image_shape: tuple[int, int, int]) -> int:
    """Operations of a network's convolutions and matrix products for one image, a multiply-add counted as 2.

    Taps of a kernel that lie beyond the border count as those inside.
    """
    variables, noisy = build.variable_shapes(model, image_shape), jax.ShapeDtypeStruct(image_shape, jnp.float32)
    traced = jax.make_jaxpr(lambda variables, noisy: bind_told(model, variables)(noisy, 1.0))(variables, noisy)
    return sum(_counted(traced.jaxpr))


def _counted(jaxpr: jax.extend.core.Jaxpr) -> Iterator[int]:
    for equation in jaxpr.eqns:
        kind, inputs = equation.primitive.name, [variable.aval for variable in equation.invars]
        if kind == "conv_general_dilated":
            features = inputs[1].shape[equation.params["dimension_numbers"].rhs_spec[0]]
            zeros = math.prod(equation.params["lhs_dilation"])  # between the pixels, of a transposed one
            yield 2 * equation.outvars[0].aval.size * inputs[1].size // (features * zeros)
        elif kind == "conv3x3":
            yield 2 * equation.outvars[0].aval.size * inputs[1].size // inputs[1].shape[-1]
        elif kind == "dot_general":
            (summed, _), _ = equation.params["dimension_numbers"]
            yield 2 * equation.outvars[0].aval.size * math.prod(inputs[0].shape[axis] for axis in summed)
        # of a choice, such as one form for each platform, the last: it is the plain one
        inner = [value[-1] if isinstance(value, tuple) and value else value for value in equation.params.values()]
        for value in inner:
            if hasattr(value, "jaxpr") or hasattr(value, "eqns"):
                yield from _counted(getattr(value, "jaxpr", value))


def training_operations(planned: Plan) -> float:
    """Operations of what is left to train, counted as `forward_operations` does; those of teachers are left out."""
    total = 0.0
    for name in planned.trainings():
        parts = planned.runs[name]
        images = parts.recipe.batch_size * parts.recipe.num_steps * (1 - planned.share_done(name))
        total += _PASSES * images * forward_operations(parts.model, parts.dataset.shape)
    return total


def training_seconds(planned: Plan) -> float:
    """Expected time here of what is left to train, from its operations and the matrix-product rate."""
    return training_operations(planned) / (matmul_rate() * _TRAINING_SHARE)


def duration(seconds: float) -> str:
    """Such as "40 seconds", "12 minutes", "3.5 hours" or "9 days"."""
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds / length:.2g} {unit}"
    whole = max(1, round(seconds))
    return f"{whole} second{'s' * (whole > 1)}"


def summary(planned: Plan) -> list[str]:
    """What will run, why at this scale, for how long, and where it goes: two lines, and what else is to be known."""
    place = f"run directory {planned.workdir}; the same command resumes it"
    count, scale = len(planned.trainings()), planned.config["scale"]
    if not count:
        return [f"scale {scale}: nothing to train", place, *planned.notes]
    others = "|".join(other for other in SCALES if other != scale)
    return [
        f"scale {scale} ({planned.config['scale_reason']}): {count} network{'s' * (count > 1)}, about "
        f"{duration(training_seconds(planned))} of training on this machine; for another, add scale={others} after the "
        "colon of --config",
        place,
        *planned.notes,
    ]


def details(planned: Plan) -> str:
    """Resolved config, devices, and for each run to train its parameter table, shapes, memory and time."""
    devices = ", ".join(str(device) for device in jax.devices())
    lines = [json.dumps(planned.config, indent=2), f"devices: {devices}"]
    for name in planned.chosen:
        parts = planned.runs[name]
        state = jax.eval_shape(lambda parts=parts: build.new_state(parts))
        flat, _ = jax.tree.flatten_with_path(state.params)
        lines.append(f"\nrun {name}: {parts.recipe.batch_size} images of {parts.dataset.shape} a step")
        for path, leaf in flat:
            label = "/".join(part.key for part in path)
            lines.append(f"  {label:<32} {leaf.shape!s:<22} {leaf.size:>12,}")
        lines.append(f"  {'parameters':<32} {'':<22} {sum(leaf.size for _, leaf in flat):>12,}")
        if planned.finished(name) or parts.weights is not None:
            lines.append(f"  not trained, the weights of {parts.weights}" if parts.weights else "  already trained")
            continue
        compiled = compile_step(build.train_step_of(parts), state, parts.key)
        memory = compiled.memory_analysis()
        size = (memory.temp_size_in_bytes + memory.argument_size_in_bytes) / 2**20
        lines.append(f"  memory of a training step: about {size:,.0f} MiB per device")
    lines.append(f"\nestimated training time here: {duration(training_seconds(planned))}")
    return "\n".join(lines)
