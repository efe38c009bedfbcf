"""Values of a run's fields that would fail late or train nothing: a ValueError names field, value and what may be."""

import math
import numbers
from collections.abc import Mapping
from typing import Any

import jax

from gahr.models.layers import GAIN_SD

_DTYPES = ("float32", "bfloat16", "float16")


def model(section: Mapping[str, Any]) -> None:
    """Check the fields of a network that are there: counts, gain_init and dtype."""
    for field, least in (("features", 1), ("num_blocks", 1), ("num_layers", 2)):
        if field in section:
            whole(f"model.{field}", section[field], least)
    dtypes = (*_DTYPES, "float64") if jax.config.jax_enable_x64 else _DTYPES
    for field, choices in (("dtype", dtypes), ("gain_init", GAIN_SD)):
        value = section.get(field, next(iter(choices)))
        _require(value in tuple(choices), f"model.{field}", value, f"one of {', '.join(choices)}")


def optim(section: Mapping[str, Any]) -> None:
    """Check the numbers of the optim section; the schedule checks its own name."""
    for field in ("num_steps", "batch_size"):
        whole(f"optim.{field}", section[field], 1)
    steps = section["num_steps"]
    for field, default, allowed, text in (
        ("peak", 1.0, lambda peak: 0 < peak < 2.0**128, "positive and finite in float32"),
        ("warmup", 0, lambda warmup: 0 <= warmup < steps, f"from 0 to below num_steps = {steps}"),
        ("average", 0.0, lambda average: 0 <= average < 1, "from 0 to below 1"),
    ):
        value = section.get(field, default)
        _require(_is_number(value) and allowed(value), f"optim.{field}", value, text)


def sigma_range(law_options: Mapping[str, Any], weighting: str, law: str) -> None:
    """Check the options of a law of sigma, its defaults included, and that no weight can be infinite."""
    for field, value in law_options.items():
        finite = _is_number(value) and math.isfinite(value)
        _require(finite and (value >= 0 or field == "log_mean"), f"noise.{field}", value, "finite and not negative")
    low, high = law_options.get("sigma_min", 0.0), law_options.get("sigma_max", 1.0)
    _require(high > 0, "noise.sigma_max", high, "positive")
    _require(low <= high, "noise.sigma_min", low, f"at most sigma_max = {high}")
    lowest = {"quadratic": "sigma_min", "uniform": "sigma_min", "fixed": "sigma"}.get(law)
    if weighting != "none" and lowest:
        _require(
            law_options[lowest] > 0, f"noise.{lowest}", law_options[lowest], f"positive with weighting {weighting}"
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def whole(field: str, value: Any, least: int) -> None:
    """Check that a value is a whole number from `least`."""
    fits = _is_number(value) and isinstance(value, numbers.Integral) and value >= least
    _require(fits, field, value, f"a whole number from {least}")


def _require(fits: bool, field: str, value: Any, allowed: str) -> None:
    if not fits:
        raise ValueError(f"{field} must be {allowed}, got {value!r}")
