"""Consistency models of points on a line and in the plane beside the exact consistency function.

On a line that is the map that keeps quantiles, in the plane the end of the ODE of the exact denoiser. Its end points,
its Jacobian and what it makes of moved noise are what a network of any training should have. Five alike modes on a
circle are so symmetric that the linear flow goes towards the right one always: where it lands tells them apart.
"""

from gahr.studies.consistency_points.analysis import analyze
from gahr.studies.consistency_points.check import check
from gahr.studies.consistency_points.figure import draw
from gahr.studies.shared.study import Study

STUDY = Study(analyze, check, draw)
