"""From a config to what it shows in one call, for notebooks."""

from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from gahr.experiment import figures, report, runs
from gahr.experiment.planning import plan
from gahr.experiment.progress import Progress
from gahr.studies.shared.study import Check
from gahr.studies.shared.style import draw_ready


class Outcome(NamedTuple):
    """What `run` found; a notebook shows it as the table of checks."""

    checks: list[Check]
    workdir: Path  # that holds arrays, figures and networks

    def _repr_markdown_(self) -> str:
        return "\n\n".join(filter(None, [report.table(self.checks), report.shortfall(self.checks)]))


def run(config: Mapping, workdir: Path, *, progress: str = "auto") -> Outcome:
    """Train the networks that a config lists, analyse, check and draw: what `launch/main.py` does.

    Called again it goes on from where it is, and does nothing twice. Figures stay open, so that a notebook shows them
    below the cell.

    Args:
      config: as `configs/` make it, or `gahr.config.base` with a study.
      workdir: run directory, made if absent.
      progress: "auto", "plain" or "off".

    Returns:
      Outcome.

    Raises:
      ValueError, OSError: a bad config or directory, before any work.
    """
    planned = plan(config, workdir)
    draw_ready()
    with Progress(progress) as shown:
        runs.train_planned(planned, progress=shown)
        return Outcome(figures.study_planned(planned, progress=shown), planned.workdir)
