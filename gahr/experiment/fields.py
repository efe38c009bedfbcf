"""The one place that turns a section of a config into a call, and errors into a line with the field's name."""

import contextlib
import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gahr.names import suggest

_NOT_FIELDS = ("key", "parent", "name")  # given by what calls, and no options


@contextlib.contextmanager
def named(section: str, *, fields: Mapping[str, Any] | tuple = ()) -> Iterator[None]:
    """Put the section before the message of a ValueError: "SECTION.FIELD must be ..." where it starts with a field."""
    try:
        yield
    except ValueError as error:
        first = str(error).partition(" ")[0].rstrip(":")
        raise ValueError(f"{section}{'.' if first in fields else ': '}{error}") from error


def check_names(section: str, fields: Mapping[str, Any], function: Callable) -> None:
    """ValueError unless every field is a keyword argument of `function`, and all that it needs are there.

    Further ones are left to a function that takes any.
    """
    parameters = inspect.signature(function).parameters.values()
    optional = [p for p in parameters if p.kind is p.KEYWORD_ONLY or inspect.isclass(function)]
    allowed = {p.name: p for p in optional if p.name not in _NOT_FIELDS}
    for field in fields:
        if field not in allowed and not any(p.kind is p.VAR_KEYWORD for p in parameters):
            raise ValueError(f"unknown field {section}.{field}{suggest(field, allowed)}")
    for field, parameter in allowed.items():
        if parameter.default is parameter.empty and field not in fields:
            raise ValueError(f"field {section}.{field} is missing")


def call(section: str, function: Callable, *arguments: Any, fields: Mapping[str, Any]) -> Any:
    """function(*arguments, **fields), with both checks of names and values worded as above."""
    check_names(section, fields, function)
    with named(section, fields=inspect.signature(function).parameters):
        return function(*arguments, **fields)
