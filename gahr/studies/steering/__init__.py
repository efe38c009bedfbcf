"""Do sines added to the input noise of a one-step generator steer what it makes of it?

For Gaussian images the size of the answer follows from their spectrum: gain sqrt(S / (S + sigma^2)) along a direction
of variance S. What a figure of one noise and one sine shows is held against that, against other directions of the same
norm, and against many noises.
"""

from gahr.studies.shared.study import Study
from gahr.studies.steering.analysis import analyze
from gahr.studies.steering.check import check
from gahr.studies.steering.figure import draw

STUDY = Study(analyze, check, draw)
