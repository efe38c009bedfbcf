"""Samples as files: a grid of pictures, one picture each, arrays, and an animation."""

import math
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from gahr.experiment import storage
from gahr.names import require

_GAP = 2  # pixels between pictures
_LAST = 15  # times as long as the others the last frame is shown
_MILLISECONDS = 80


def kind_of(out: Path) -> str:
    """What a name asks for: grid (.png), arrays (.npz) or folder (without an ending); ValueError for others."""
    kinds = {".png": "grid", ".npz": "arrays", "": "folder"}
    require(
        out.suffix in kinds, "output", str(out), "NAME.png for a grid, NAME.npz for arrays, or a folder for pictures"
    )
    return kinds[out.suffix]


def write(out: Path, images: np.ndarray, *, first: Mapping[str, np.ndarray], **arrays: np.ndarray) -> None:
    """Images (N, H, W, C) as the name says, see `kind_of`: pictures clipped to [0, 1], or arrays.

    Before them stand the images of `first`, (H, W, C) by name: in the grid, as pictures or as arrays of their names.

    Raises:
      ValueError: an unknown ending, or images of neither one nor three channels that are to be pictures.
    """
    kind = kind_of(out)
    if kind == "arrays":
        storage.write_whole(out, lambda content: np.savez(content, images=images, **first, **arrays))
    elif kind == "grid":
        sheet = picture(grid(np.stack([*first.values(), *images])))
        storage.write_whole(out, lambda content: sheet.save(content, "PNG"))
    else:
        partial = out.with_name(f"{out.name}.partial")  # renamed once it is whole
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        numbered = {f"{i:0{len(str(len(images) - 1))}d}": image for i, image in enumerate(images)}
        for name, image in {**first, **numbered}.items():
            picture(image).save(partial / f"{name}.png")
        partial.rename(out)


def grid(images: np.ndarray) -> np.ndarray:
    """Images (N, H, W, C) on white, row by row, in about a square, one image."""
    number, height, width, channels = images.shape
    columns = math.ceil(math.sqrt(number))
    rows = math.ceil(number / columns)
    sheet = np.ones((rows * (height + _GAP) - _GAP, columns * (width + _GAP) - _GAP, channels), np.float32)
    for i, image in enumerate(images):
        top, left = i // columns * (height + _GAP), i % columns * (width + _GAP)
        sheet[top : top + height, left : left + width] = image
    return sheet


def format_of(animation: Path) -> str:
    """Pillow's format of an animation by its ending; ValueError for others."""
    formats = {".gif": "GIF", ".png": "PNG", ".apng": "PNG"}
    allowed = "NAME.gif, or NAME.png or NAME.apng for an animated PNG"
    require(animation.suffix in formats, "animation", str(animation), allowed)
    return formats[animation.suffix]


def animate(out: Path, frames: np.ndarray, denoised: np.ndarray, last: np.ndarray) -> None:
    """The path of samples: at the left y, at the right D(y), at the end the samples on both sides.

    Args:
      out: NAME.gif, or NAME.png or .apng for an animated PNG.
      frames, denoised: y and D(y), (F, n, H, W, C); NaN where a sample has stopped before, which then stands still.
      last: the samples (n, H, W, C).

    Raises:
      ValueError: another ending.
    """
    kind = format_of(out)
    pictures = []
    for left, right in [*zip(frames, denoised, strict=True), (last, last)]:
        sides = [grid(np.where(np.isnan(side), last, side)) for side in (left, right)]
        gap = np.ones((len(sides[0]), 3 * _GAP, sides[0].shape[-1]), np.float32)
        pictures.append(picture(np.concatenate([sides[0], gap, sides[1]], 1)))
    times = [_MILLISECONDS] * (len(pictures) - 1) + [_MILLISECONDS * _LAST]
    options = dict(save_all=True, append_images=pictures[1:], duration=times, loop=0)
    storage.write_whole(out, lambda content: pictures[0].save(content, kind, **options))


def picture(image: np.ndarray) -> Image.Image:
    """An image (H, W, C) clipped to [0, 1], in 256 levels; ValueError for neither one nor three channels."""
    channels = image.shape[-1]
    require(channels in (1, 3), "pictures", channels, "of one or three channels")
    pixels = np.round(np.clip(image, 0, 1) * 255).astype(np.uint8)
    return Image.fromarray(pixels[..., 0] if channels == 1 else pixels)
