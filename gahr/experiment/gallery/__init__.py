"""One self-contained page of any run directories: figures, checks, bases and paths, and how each was made."""

from collections.abc import Sequence
from pathlib import Path

from gahr.experiment import storage
from gahr.experiment.gallery import collect, page
from gahr.names import require


def write(workdirs: Sequence[Path], out: Path) -> None:
    """Write a page that opens from its file, without network.

    Args:
      workdirs: run directories whose figures are drawn, in the order of the page.
      out: NAME.html.

    Raises:
      ValueError: no directory, one that holds no results, or another ending.
    """
    require(out.suffix == ".html", "out", str(out), "NAME.html")
    require(len(workdirs) > 0, "workdirs", "none", "one run directory at least")
    text = page.render([collect.read(Path(workdir)) for workdir in workdirs])
    storage.write_whole(out, lambda file: file.write(text.encode()))
