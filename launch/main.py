"""Trains the networks that a config lists, analyses them and draws the figure.

    python launch/main.py --config configs/calpha.py:alpha=3
    python launch/main.py --config configs/calpha.py:alpha=3,scale=smoke --config.seed=1 --workdir runs/one

Called again it resumes what was interrupted and skips what is finished. Ctrl-C or SIGTERM saves and leaves;
a second Ctrl-C leaves at once.
"""

import os
import signal
import sys


def _leave(signum, frame) -> None:
    os.write(2, b"\nstopped; nothing to save\n")
    os._exit(0)


if __name__ == "__main__":  # before the slow imports; _listen_for_stops takes over
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)

import shlex  # noqa: E402
from pathlib import Path  # noqa: E402

from absl import flags, logging  # noqa: E402
from ml_collections import config_flags  # noqa: E402

from gahr.experiment import command, memory  # noqa: E402

FLAGS = flags.FLAGS
_CONFIG = config_flags.DEFINE_config_file(
    "config",
    None,
    "Config file, with arguments after a colon, which its first lines list: those of calpha.py are alpha, "
    "background_alpha, model, scale and seed.",
)
_WORKDIR = flags.DEFINE_string("workdir", None, "Run directory; left out, runs/NAME-ARGUMENTS.")
_ONLY = flags.DEFINE_string("only", None, "Train only the runs whose names match this pattern, and do not draw.")
_DRAW = flags.DEFINE_bool("draw", False, "With --only: analyse and draw those runs alone.")
_DRY_RUN = flags.DEFINE_bool("dry_run", False, "Print what would be done, with memory and time, and stop.")
_PROGRESS = flags.DEFINE_enum("progress", "auto", ["auto", "plain", "off"], "Bars, plain lines, or nothing.")
_DISTRIBUTED = flags.DEFINE_bool("distributed", False, "This is one of several processes that train together.")
_COORDINATOR = flags.DEFINE_string(
    "coordinator",
    None,
    "HOST:PORT of the first process; this and the next two where the cluster's environment does not say.",
)
_NUM_PROCESSES = flags.DEFINE_integer("num_processes", None, "How many processes there are.", 1)
_PROCESS_ID = flags.DEFINE_integer("process_id", None, "Number of this one, from 0.", 0)
_DEBUG = flags.DEFINE_bool("debug", False, "Show the stack trace of an error.")


def _workdir() -> Path:
    if _WORKDIR.value:
        return Path(_WORKDIR.value)
    file, _, arguments = config_flags.get_config_filename(FLAGS["config"]).partition(":")
    return Path("runs") / "-".join(filter(None, (Path(file).stem, arguments.replace(",", "-").replace("/", "_"))))


def _join_others() -> None:
    """Make this process one of several, before any other use of JAX; what is None comes from the environment."""
    import jax

    others = {"coordinator": _COORDINATOR.value, "num_processes": _NUM_PROCESSES.value, "process_id": _PROCESS_ID.value}
    if _DISTRIBUTED.value:
        jax.distributed.initialize(*others.values())
    elif given := [name for name, value in others.items() if value is not None]:
        raise ValueError(f"--{given[0]} belongs to --distributed")


def _listen_for_stops(progress) -> None:
    asked = []

    def stop(signum, frame):
        if asked and signum == signal.SIGINT:
            os._exit(130)
        asked.append(signum)
        os.write(2, b"\nstopping at the next step; Ctrl-C again leaves at once without saving\n")
        if _DISTRIBUTED.value:
            os.kill(os.getpid(), signal.SIGTERM)  # whose handler is JAX's, which tells the other processes
        else:
            progress.stop_requested = True

    signal.signal(signal.SIGINT, stop)
    if not _DISTRIBUTED.value:
        signal.signal(signal.SIGTERM, stop)


def main(argv: list[str]) -> None:
    command.refuse_arguments(argv)
    if _CONFIG.value is None:
        raise ValueError("--config is needed, for instance --config configs/calpha.py:alpha=3")
    logging.set_verbosity(logging.WARNING)
    memory.keep()
    command.use_compile_cache()
    from gahr import experiment
    from gahr.experiment import estimate, hosts, report
    from gahr.experiment.progress import Interrupted, Progress

    _join_others()
    workdir = _workdir()
    with Progress(_PROGRESS.value if hosts.is_first() else "off") as progress:
        _listen_for_stops(progress)
        planned = experiment.plan(_CONFIG.value, workdir, only=_ONLY.value or "*")
        for line in estimate.summary(planned):
            progress.line(line)
        if _DRY_RUN.value:
            print(estimate.details(planned))
            return
        try:
            experiment.train_planned(planned, progress=progress)
            if _ONLY.value and not _DRAW.value:
                progress.line("trained; call again without --only to analyse and draw")
                return
            checks = experiment.study_planned(planned, progress=progress)
        except Interrupted:
            print(f"stopped and saved; resume with: {shlex.join([sys.executable, *sys.argv])}", file=sys.stderr)
            return
    if hosts.is_first():
        print(report.table(checks))
        if short := report.shortfall(checks):
            print(short)
        print(f"figures: {workdir / 'figures'}   report: {workdir / 'report.md'}")


def _parse(argv: list[str]) -> list[str]:
    if not command.wants_help(argv):
        _check_config_file(argv)
    try:
        return command.parse(argv)
    except (AttributeError, KeyError) as error:  # from ml_collections, with quotes of quotes
        text = str(error).replace("\\n", " ").replace("\\'", "").strip("'\"")
        raise flags.Error(f"unknown config field: {text}") from error


def _check_config_file(argv: list[str]) -> None:
    for word, following in zip(argv, [*argv[1:], ""], strict=True):
        option, equals, value = word.partition("=")
        if option in ("--config", "-config"):
            file = (value if equals else following).partition(":")[0]
            if not Path(file).is_file():
                raise flags.Error(f"no config file {file}")


def _line(error: BaseException) -> str:
    """The error in one line; where a config failed to load, what it raised."""
    text = str(error)
    if "Traceback" in text:
        text = [line for line in text.splitlines() if "Error: " in line][-1].partition("Error: ")[2]
    if isinstance(error, KeyError | AttributeError):
        text = f"{type(error).__name__}: {text} (--debug shows where)"
    return command.one_line(text)


if __name__ == "__main__":
    command.run(
        main, errors=(ValueError, OSError, FloatingPointError, AttributeError, KeyError), parser=_parse, line=_line
    )
