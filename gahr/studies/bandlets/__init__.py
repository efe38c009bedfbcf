"""What following contours gains over wavelets: C^alpha images approximated and denoised in bandlets."""

from gahr.studies.bandlets.analysis import analyze
from gahr.studies.bandlets.check import check
from gahr.studies.bandlets.figure import draw
from gahr.studies.shared.study import Study

STUDY = Study(analyze, check, draw)
