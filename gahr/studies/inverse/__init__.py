"""What a denoiser knows of an image of which little was measured: methods side by side on linear inverse problems."""

from gahr.studies.inverse.analysis import analyze
from gahr.studies.inverse.check import check
from gahr.studies.inverse.figure import draw
from gahr.studies.shared.study import Study

STUDY = Study(analyze, check, draw)
