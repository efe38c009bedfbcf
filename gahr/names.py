"""Names and values that functions take, and the ValueErrors that say which of them is wrong. Uses no JAX."""

import difflib
import inspect
import math
import numbers
from collections.abc import Callable, Iterable, Mapping
from typing import Any


def suggest(name: str, allowed: Iterable[str]) -> str:
    """'; did you mean X?' for the nearest allowed name, followed by all of them."""
    allowed = list(allowed)
    near = difflib.get_close_matches(name, allowed, n=1)
    hint = f"; did you mean {near[0]}?" if near else ""
    return f"{hint} (allowed: {', '.join(allowed)})"


def pick(what: str, choices: Mapping[str, Any], name: str) -> Any:
    """choices[name]; ValueError "unknown WHAT 'NAME'; did you mean ..." where there is none."""
    if name not in choices:
        raise ValueError(f"unknown {what} {name!r}{suggest(str(name), choices)}")
    return choices[name]


def options_of(function: Callable, given: Mapping[str, Any]) -> dict[str, Any]:
    """Keyword-only options of a function: as given, the others by default; ValueError for one unknown or missing."""
    parameters = inspect.signature(function).parameters.values()
    defaults = {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}
    for name in given:
        pick("option", defaults, name)
    options = defaults | dict(given)
    for name, value in options.items():
        if value is inspect.Parameter.empty:
            raise ValueError(f"option {name} is missing")
    return options


def require(fits: bool, name: str, value: Any, allowed: str) -> None:
    """ValueError "NAME must be ALLOWED, got VALUE" unless the value fits."""
    if not fits:
        raise ValueError(f"{name} must be {allowed}, got {value!r}")


def require_positive(**values: float) -> None:
    """ValueError for the first value that is not a positive number."""
    for name, value in values.items():
        require(0 < value < math.inf, name, value, "a positive number")


def is_number(value: Any) -> bool:
    """Whether a value is a real number, True and False being none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def require_whole(name: str, value: Any, *, least: int = 1, most: int | None = None) -> None:
    """ValueError unless the value is a whole number from `least` to `most`, where that is given."""
    fits = is_number(value) and isinstance(value, numbers.Integral) and least <= value
    until = "" if most is None else f" to {most}"
    require(fits and (most is None or value <= most), name, value, f"a whole number from {least}{until}")
