"""The tangent space of the set of disks, found by a network's Jacobian, and the optimal curve beside its own."""

from gahr.studies.disks.analysis import analyze
from gahr.studies.disks.check import check
from gahr.studies.disks.figure import draw
from gahr.studies.shared.study import Study

STUDY = Study(analyze, check, draw)
