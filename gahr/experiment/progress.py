"""Live progress on a terminal or in a notebook, plain lines elsewhere; and the request to stop."""

import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

MODES = ("auto", "plain", "off")
_SECONDS = {"plain": 5.0, "notebook": 0.5}  # between two lines
_WIDTH = 20  # of a bar


class Interrupted(Exception):
    """Raised where work may stop without loss, once a stop was asked for."""


class Progress:
    """Shows how far named tasks are, with the time they still need, and passes on a request to stop.

    Args:
      mode: "auto" draws bars on a terminal, one bar at a time in a notebook, and prints plain lines elsewhere; "plain"
        prints a line every five seconds and at the end of a task; "off" shows nothing.
    """

    def __init__(self, mode: str = "off"):
        if mode not in MODES:
            raise ValueError(f"progress must be one of {', '.join(MODES)}, got {mode!r}")
        console = Console(stderr=True)
        self.stop_requested = False
        self._mode = mode
        if mode == "auto" and not console.is_terminal:
            self._mode = "notebook" if console.is_jupyter else "plain"
        self._tasks: dict[str, int] = {}
        self._printed = 0.0
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=_WIDTH),
            MofNCompleteColumn(),
            TextColumn("{task.fields[note]}"),
            TimeElapsedColumn(),
            TextColumn("ETA"),
            TimeRemainingColumn(),
            console=console,
        )

    def __enter__(self) -> "Progress":
        if self._mode == "auto":
            self._rich.start()
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._mode == "auto":
            self._rich.stop()

    def line(self, text: str) -> None:
        """Print one line, above any bars, unless the mode is "off"."""
        if self._mode == "notebook":
            print(text)
        elif self._mode != "off":
            self._rich.console.print(text, markup=False, emoji=False, highlight=False, soft_wrap=True)

    def update(self, task: str, done: int, total: int, *, note: str = "") -> None:
        """Say that `done` of `total` units of `task` are finished; `note` is shown beside."""
        if task not in self._tasks:
            self._tasks[task] = self._rich.add_task(task, total=total, completed=done, note=note)
        self._rich.update(self._tasks[task], completed=done, note=note)
        now = time.monotonic()
        if self._mode in _SECONDS and (now - self._printed > _SECONDS[self._mode] or done == total):
            self._printed = now
            shown = self._rich.tasks[self._tasks[task]]
            elapsed, remaining = TimeElapsedColumn().render(shown), TimeRemainingColumn().render(shown)
            parts = [f"{task} {done}/{total}", note, f"elapsed {elapsed}", f"ETA {remaining}"]
            text = " | ".join(filter(None, parts))
            if self._mode == "plain":
                self.line(text)
            else:  # over the line before, whose rest blanks cover
                bar = ("█" * (_WIDTH * done // total)).ljust(_WIDTH, "░")
                print(f"\r{bar} {text}".ljust(120), end="\n" if done == total else "", flush=True)

    def check(self) -> None:
        """Raise Interrupted where a stop was asked for."""
        if self.stop_requested:
            raise Interrupted
