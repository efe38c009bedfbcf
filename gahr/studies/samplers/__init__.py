"""What does a sampler cost? Quality of samples against the number of times that the denoiser is called."""

from gahr.studies.samplers.analysis import analyze
from gahr.studies.samplers.check import check
from gahr.studies.samplers.figure import draw
from gahr.studies.shared.study import Study

STUDY = Study(analyze, check, draw)
