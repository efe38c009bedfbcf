"""Options that a study cannot use are refused where it is made: each function raises a ValueError that names one."""

from pathlib import Path

import numpy as np

from gahr.analysis import performance
from gahr.names import require, suggest
from gahr.studies.shared.study import Run, Runs


def require_least(**found: tuple[float, float]) -> None:
    """Refuse the first option whose (value, least value) is below it."""
    for name, (value, least) in found.items():
        require(value >= least, name, value, f"at least {least}")


def runs_named(runs: Runs, *names: str) -> tuple[Run, ...]:
    """The runs of these names; ValueError naming the first that is not there."""
    for name in names:
        if name not in runs:
            raise ValueError(f"the study needs a run named {name}{suggest(name, runs)}")
    return tuple(runs[name] for name in names)


def require_files(**names: str) -> None:
    """Refuse the first option whose files, joined by "+", are not there."""
    for option, value in names.items():
        for name in filter(None, value.split("+")):
            if not Path(name).is_file():
                raise ValueError(f"{option}: there is no file {name}")


def input_levels(
    lowest_db: float, highest_db: float, num_levels: int, *, fit_between: tuple[float, float] | None = None
) -> np.ndarray:
    """Input PSNRs (S,), dB, equally spaced; ValueError unless they are two, and leave a slope to fit where asked."""
    require_least(num_levels=(num_levels, 2))
    levels = np.linspace(lowest_db, highest_db, num_levels)
    if fit_between is not None and performance.levels_between(levels, fit_between).sum() < 2:
        raise ValueError(
            f"fit_between must hold at least two of the levels {', '.join(f'{x:.3g}' for x in levels)} dB, "
            f"got {tuple(fit_between)}"
        )
    return levels
