"""Makes one page of any run directories, which opens from its file without network.

    python launch/gallery.py runs/eigenbasis-weights=calpha3 runs/calpha-weights=calpha3 gallery.html

Figures, theory beside measurement, checks with their nulls, config, seed, versions, cost and command; a viewer of
bases, where a study kept vectors; two runs side by side. Animations in a run directory, such as those of
`launch/sample.py --animate=RUNDIR/path.apng`, are shown as paths that can be stopped and stepped through.
"""

from pathlib import Path

from absl import flags, logging

from gahr.experiment import command

FLAGS = flags.FLAGS
_DEBUG = flags.DEFINE_bool("debug", False, "Show the stack trace of an error.")


def main(argv: list[str]) -> None:
    if len(argv) < 3:
        raise ValueError(f"a run directory and OUT.html at least are needed, not {len(argv) - 1} names; see --help")
    logging.set_verbosity(logging.WARNING)
    from gahr.experiment import gallery

    gallery.write([Path(name) for name in argv[1:-1]], Path(argv[-1]))
    print(f"page: {argv[-1]}")


if __name__ == "__main__":
    command.run(main)
