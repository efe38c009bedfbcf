"""Which known prior predicts what a network does? Outputs and samples of networks beside those of analytic denoisers.

Recent theory explains generalization by what a network cannot see or learn: places alone (Kamb and Ganguli, 2024,
arXiv:2412.20292), what a linear filter looks at (Lukoianov et al., 2025, arXiv:2509.09672), second moments. Each
explanation is a denoiser. Here each is held against networks trained on N images, at every noise level, in units of the
best linear denoiser of those images; beside them stand a network trained on other images, which shares with the first
whatever does not depend on the images, and the same network's Jacobian at another image.
"""

from gahr.studies.explain.analysis import analyze
from gahr.studies.explain.check import check
from gahr.studies.explain.figure import draw
from gahr.studies.shared.study import Study

STUDY = Study(analyze, check, draw)
