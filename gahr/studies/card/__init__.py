"""How exact is a denoiser? The identities of exact MMSE denoisers, for several side by side."""

from gahr.studies.card.analysis import analyze
from gahr.studies.card.check import check
from gahr.studies.card.figure import draw
from gahr.studies.shared.study import Study

STUDY = Study(analyze, check, draw)
