"""What the programs in `launch/` share: --help, errors in one line, and what was compiled before."""

import os
import sys
from collections.abc import Callable
from pathlib import Path

from absl import app, flags


def wants_help(argv: list[str]) -> bool:
    """Whether help is asked for, which needs no valid arguments."""
    return bool({"--help", "-help", "--helpshort", "-h"} & set(argv))


def parse(argv: list[str]) -> list[str]:
    """What is left of the arguments when the flags are read; shows help and leaves where it is asked for."""
    return app.parse_flags_with_usage(argv) if wants_help(argv) else flags.FLAGS(argv)


def one_line(error: object) -> str:
    """The text of an error, or another, in one line."""
    return " ".join(str(error).split())


def refuse_arguments(argv: list[str]) -> None:
    """ValueError naming the first argument that is no flag, for programs that take none."""
    if len(argv) > 1:
        raise ValueError(f"unexpected argument {argv[1]!r}; options start with --")


def use_compile_cache() -> None:
    """Keep what JAX compiles in the user's cache, where no other folder is set."""
    import jax

    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "gahr"
    if jax.config.jax_compilation_cache_dir is None:
        jax.config.update("jax_compilation_cache_dir", str(cache))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)


def run(
    main: Callable[[list[str]], None],
    *,
    errors: tuple[type[BaseException], ...] = (ValueError, OSError),
    parser: Callable[[list[str]], list[str]] = parse,
    line: Callable[[BaseException], str] = one_line,
) -> None:
    """Run a program; an error of these kinds becomes one line and status 1, unless --debug is given.

    Args:
      main: takes what is left of the arguments.
      errors: kinds of errors that users are to see as one line; errors of flags are always among them.
      parser: reads the flags.
      line: text of an error.
    """
    try:
        app.run(main, flags_parser=parser)
    except (flags.Error, *errors) as error:
        if "--debug" in sys.argv:
            raise
        print(f"error: {line(error)}", file=sys.stderr)
        sys.exit(1)
