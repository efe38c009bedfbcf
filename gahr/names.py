"""Which valid name a wrong one was meant to be. Uses no JAX."""

import difflib
from collections.abc import Iterable, Mapping
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
        raise ValueError(f"unknown {what} {name!r}{suggest(name, choices)}")
    return choices[name]
