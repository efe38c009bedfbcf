"""PSNR curves of networks trained on C^alpha images, beside theory, the best linear denoiser and other nulls.

Kadkhodaie et al. (2024), arXiv:2310.02557, figure 4: on C^alpha images the optimal mse falls as
sigma^(2 alpha / (alpha + 1)), so the PSNR of an optimal denoiser rises with slope alpha / (alpha + 1).
"""

from gahr.studies.shared.study import Study
from gahr.studies.slopes.analysis import analyze
from gahr.studies.slopes.check import check, exponents
from gahr.studies.slopes.figure import draw

__all__ = ["STUDY", "analyze", "check", "draw", "exponents"]
STUDY = Study(analyze, check, draw)
