"""The string after the colon of `--config FILE.py:name=value,...`, and the scales. Uses no JAX by itself."""

import difflib
import runpy
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

SCALES = ("smoke", "laptop", "gpu", "paper")


def suggest(name: str, allowed: Iterable[str]) -> str:
    """'; did you mean X?' for the nearest allowed name, followed by all of them."""
    allowed = list(allowed)
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{hint} (allowed: {', '.join(allowed)})"


def config_beside(file: str, name: str) -> Callable[[str], Any]:
    """`get_config` of NAME.py in the folder of `file`, for configs that share the runs of another."""
    return runpy.run_path(str(Path(file).with_name(f"{name}.py")))["get_config"]


def parse_arg(arg: str | None, **defaults: Any) -> dict[str, Any]:
    """Values of a string such as "alpha=3,scale=smoke", with defaults.

    Each value is read as the type of its default. A tuple takes one or several values joined by "+", such as
    "1+2+5", of the type of its first element. Where the default is None, a number or "none" is expected.

    Args:
      arg: the string after the colon, or None.
      **defaults: allowed names with their default values.

    Returns:
      Dictionary with every name in `defaults`.

    Raises:
      ValueError: an unknown name, a repeated one, or a value that cannot be read; the message names the
        nearest valid name.
    """
    values = dict(defaults)
    seen = set()
    for part in filter(None, (arg or "").split(",")):
        name, equals, text = part.partition("=")
        if name not in defaults:
            raise ValueError(f"unknown config argument {name!r}{suggest(name, defaults)}")
        if not equals:
            raise ValueError(f"config argument {name} needs a value, as in {name}={defaults[name]}")
        if name in seen:
            raise ValueError(f"config argument {name} is given twice; several values are joined by '+'")
        seen.add(name)
        values[name] = _read(name, text, defaults[name])
    return values


def given_names(arg: str | None) -> set[str]:
    """Names in a string such as "alpha=3,scale=smoke", to tell a value that is given from a default."""
    return {part.partition("=")[0] for part in (arg or "").split(",")}


def refuse_given(arg: str | None, *names: str, belongs_to: str) -> None:
    """Raise ValueError naming the first of `names` that the string gives, which would otherwise be ignored.

    For arguments that only some choices use: "split= belongs to data=file". One that is left out is not refused.
    """
    given = given_names(arg)
    for name in names:
        if name in given:
            raise ValueError(f"{name}= belongs to {belongs_to}")


def _read(name: str, text: str, default: Any) -> Any:
    if isinstance(default, tuple):
        return tuple(_read(name, piece, default[0]) for piece in text.split("+"))
    if isinstance(default, bool):
        if text.lower() not in ("true", "false"):
            raise ValueError(f"config argument {name} must be true or false, got {text!r}")
        return text.lower() == "true"
    if default is None and text.lower() == "none":
        return None
    kind = float if default is None else type(default)
    try:
        return kind(text)
    except ValueError:
        wanted = {int: "a whole number", float: "a number"}[kind]
        raise ValueError(f"config argument {name} must be {wanted}, got {text!r}") from None


def choose_scale(scale: str) -> tuple[str, str]:
    """The scale to run at and the reason for it.

    Args:
      scale: one of `SCALES`, or "auto": gpu where JAX finds an accelerator, else laptop.

    Returns:
      (scale, reason).

    Raises:
      ValueError: unknown scale.
    """
    if scale in SCALES:
        return scale, "asked for"
    if scale != "auto":
        raise ValueError(f"unknown scale {scale!r}{suggest(scale, ('auto', *SCALES))}")
    import jax  # only here, so that reading a config with a given scale needs no JAX

    if jax.default_backend() == "cpu":
        return "laptop", "no accelerator found"
    return "gpu", f"{jax.devices()[0].device_kind} found"


def require_positive(**values: float) -> None:
    """Raise ValueError naming the first value that is not a positive number."""
    for name, value in values.items():
        if not 0 < value < float("inf"):
            raise ValueError(f"{name} must be a positive number, got {value:g}")
