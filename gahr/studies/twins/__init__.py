"""From memorization to generalization, seen in samples: two networks, disjoint training sets, the same noise.

Kadkhodaie et al. (2024), arXiv:2310.02557, figures 2, 6 to 8 and 10: trained on few images, each of two networks
returns its own; trained on many, both return one and the same image, which is in neither set.
"""

from gahr.studies.shared.study import Study
from gahr.studies.twins.analysis import analyze
from gahr.studies.twins.check import check
from gahr.studies.twins.figure import draw

STUDY = Study(analyze, check, draw)
