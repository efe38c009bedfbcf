"""From the basis at an image to the PSNR slope of a denoiser: which basis predicts it?

Where the squared coefficients of images fall as k^-(a+1) in the basis that a denoiser shrinks in, its PSNR should rise
with slope a / (a + 1) (Kadkhodaie et al., 2024, arXiv:2310.02557, appendix D.4). Here slopes are predicted from the
coefficients of test images, by a fit of a and by the error of the best shrinkage itself, in the bases of networks, in
those of other images and in fixed ones, and set beside what the networks do, |J|^2 / tr J, and alpha / (alpha + 1).
"""

from gahr.studies.link.analysis import analyze
from gahr.studies.link.check import check
from gahr.studies.link.figure import draw
from gahr.studies.shared.study import Study

STUDY = Study(analyze, check, draw)
