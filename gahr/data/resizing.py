"""From photographs to small square images: crop, resize, grey.

The recipes are those of Kadkhodaie et al. (2024), arXiv:2310.02557, appendix A.1 and figure 6, with the constants of
the code published with it. Pixels are uint8 here, 0 to 255, as in image files.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from gahr.names import require

GREYS = ("mean", "luma", "none")


class Recipe(NamedTuple):
    """What is done to every image, in this order."""

    margins: tuple[int, int, int, int] = (0, 0, 0, 0)  # pixels cut off above, below, left and right
    corner: int | None = None  # side of the upper left square that is kept of the rest; all of it where None
    size: int = 80  # side in pixels that the middle square is resized to
    grey: str = "mean"  # grey as the mean of red, green and blue, as their luma, or "none": colour
    threshold: float | None = 0.95  # correlation above which the later of two images is dropped; None keeps all


RECIPES = {
    "plain": Recipe(),
    "celeba": Recipe(margins=(29, 29, 9, 9)),  # aligned and cropped CelebA, 178 x 218
    "lsun": Recipe(corner=256),
}


def check(recipe: Recipe) -> None:
    """ValueError naming the first field of a recipe that cannot be, and what can."""
    for field, value, allowed, text in (
        ("margins", recipe.margins, lambda m: len(m) == 4 and min(m) >= 0, "four numbers of pixels, none negative"),
        ("corner", recipe.corner, lambda side: side is None or side >= 1, "at least 1"),
        ("size", recipe.size, lambda side: side >= 1, "at least 1"),
        ("grey", recipe.grey, lambda how: how in GREYS, f"one of {', '.join(GREYS)}"),
        ("threshold", recipe.threshold, lambda t: t is None or 0 < t < 1, "between 0 and 1"),
    ):
        require(allowed(value), field, value, text)


def channels(recipe: Recipe) -> int:
    """Channels of the images that a recipe makes."""
    return 3 if recipe.grey == "none" else 1


def crop(image: Image.Image, *, margins: Sequence[int] = (0, 0, 0, 0), corner: int | None = None) -> Image.Image:
    """The image without its margins, then its upper left corner, then the middle square of that.

    Args:
      image: a Pillow image.
      margins: pixels cut off above, below, left and right.
      corner: side of the corner; all that the margins leave where None.

    Returns:
      A square image.

    Raises:
      ValueError: the image is too small.
    """
    above, below, left, right = margins
    width, height = image.width - left - right, image.height - above - below
    if min(width, height) < (corner or 1):
        raise ValueError(f"{image.width}x{image.height} pixels are too few for the crop")
    if corner is not None:
        width = height = corner
    side = min(width, height)
    left, above = left + (width - side) // 2, above + (height - side) // 2
    return image.crop((left, above, left + side, above + side))


def resize(image: Image.Image, *, size: int) -> Image.Image:
    """A square image with a side of `size` pixels: bicubic, with antialiasing.

    Raises:
      ValueError: the image is smaller.
    """
    if image.width < size:
        raise ValueError(f"a square of {image.width} pixels is below the size {size}")
    return image.resize((size, size), Image.Resampling.BICUBIC)


def grey(image: Image.Image, *, how: str = "mean") -> np.ndarray:
    """Pixels (H, W, C) of an RGB image.

    Args:
      image: a Pillow image of mode RGB.
      how: "mean" for (R + G + B) / 3, "luma" for 0.299 R + 0.587 G + 0.114 B, both rounded; "none" for colour.

    Returns:
      uint8 (H, W, 1), or (H, W, 3) for colour.
    """
    if how == "luma":
        return np.asarray(image.convert("L"))[..., None]
    pixels = np.asarray(image)
    return pixels if how == "none" else ((pixels.sum(-1, dtype=np.uint16, keepdims=True) + 1) // 3).astype(np.uint8)


def apply(recipe: Recipe, image: Image.Image) -> np.ndarray:
    """An RGB image as the recipe has it, uint8 (size, size, C).

    Raises:
      ValueError: the image is too small.
    """
    square = crop(image, margins=recipe.margins, corner=recipe.corner)
    return grey(resize(square, size=recipe.size), how=recipe.grey)


def _area_weights(before: int, after: int) -> np.ndarray:
    """(after, before): the share of each old pixel in each new one, rows of sum 1."""
    edges = np.arange(after + 1) * (before / after)
    pixel = np.arange(before)
    overlap = np.minimum(edges[1:, None], pixel + 1) - np.maximum(edges[:-1, None], pixel)
    return (np.maximum(overlap, 0) * (after / before)).astype(np.float32)


def area_average(images: np.ndarray, *, size: int) -> np.ndarray:
    """Images resized by averaging over the area of every new pixel.

    Args:
      images: square images (N, H, H, C).
      size: side of the result in pixels.

    Returns:
      float32 (N, size, size, C), in the unit of the images.
    """
    weights = _area_weights(images.shape[1], size)
    planes = np.moveaxis(images, -1, 1).astype(np.float32)
    return np.moveaxis(weights @ planes @ weights.T, 1, -1)
