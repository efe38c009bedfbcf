"""What a posterior mean knows of a density: score, covariance, divergence and its own error, in two dimensions."""

from gahr.studies.miyasawa.analysis import analyze
from gahr.studies.miyasawa.check import check
from gahr.studies.miyasawa.figure import draw
from gahr.studies.shared.study import Study

STUDY = Study(analyze, check, draw)
