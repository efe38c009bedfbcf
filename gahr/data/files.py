"""Images and sets of images from files."""

import functools
import hashlib
import json
from importlib import resources
from pathlib import Path
from typing import NamedTuple

import numpy as np
from jax.tree_util import Partial
from PIL import Image

from gahr.data import resizing, sources, splits
from gahr.data.dataset import Dataset
from gahr.names import pick, require, require_whole
from gahr.types import Key

_SPLITS = ("random", "group", "order")
_INKS = " .:-=+*#%@"  # of drawings
_BLOCK = 1024  # images resized at a time


def photograph() -> Path:
    """A photograph (600 x 512) that comes with matplotlib."""
    return Path(str(resources.files("matplotlib") / "mpl-data" / "sample_data" / "grace_hopper.jpg"))


def read_image(path: Path, *, size: int | None = None, channels: int = 1) -> np.ndarray:
    """One image file, or its middle square resized.

    Args:
      path: any format that Pillow reads, of 8 bits a channel.
      size: side in pixels that the middle square is resized to (bicubic with antialiasing); the whole image where None.
      channels: 1 for grey, the mean of red, green and blue; 3 for colour.

    Returns:
      Image (H, W, channels), float32 in [0, 1].

    Raises:
      ValueError: the file is no readable image, or has more than 8 bits a channel, or is smaller than `size`, or
        channels is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    try:
        image = sources.decode(Path(path).read_bytes())
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if size is not None:
        image = resizing.resize(resizing.crop(image), size=size)
    pixels = np.asarray(image, np.float32) / 255
    return pixels if channels == 3 else pixels.mean(-1, keepdims=True)


def drawn(text: str, *, size: int) -> np.ndarray:
    """The image of a drawing by characters, a line a row, from white to black: a blank, then . : - = + * # % @

    Args:
      text: square, such as 16 lines of 16 characters; empty lines before and after do not count.
      size: side in pixels that it is resized to (bicubic).

    Returns:
      Image (size, size, 1), float32 in [0, 1].

    Raises:
      ValueError: other characters, or lines of other lengths than their number.
    """
    lines = text.strip("\n").splitlines()
    require(lines and all(len(line) == len(lines) for line in lines), "text", [*map(len, lines)], "square: lengths")
    others = set().union(*lines) - set(_INKS)
    require(not others, "text", "".join(sorted(others)), f"of the characters {_INKS!r}")
    pixels = np.array([[255 * _INKS.index(ink) // (len(_INKS) - 1) for ink in line] for line in lines], np.uint8)
    resized = Image.fromarray(255 - pixels).resize((size, size), Image.Resampling.BICUBIC)
    return np.asarray(resized, np.float32)[..., None] / 255


def crops(path: Path, *, size: int, number: int, channels: int = 1) -> np.ndarray:
    """Crops (number, size, size, channels) on a grid over an image file, with as little overlap as their number allows.

    Raises:
      ValueError: the file is no readable image, or it has no two places for a crop along a side.
    """
    picture = read_image(path, channels=channels)
    height, width = (side - size + 1 for side in picture.shape[:2])
    if min(height, width) < 2:
        raise ValueError(f"{path} is {picture.shape[1]} x {picture.shape[0]} pixels, too small for crops of {size}")
    rows = min(height, max(2, round(np.sqrt(number * height / width))))
    columns = -(-number // rows)
    if columns > width:
        raise ValueError(f"{path} has {height * width} different crops of {size}, {number} are asked for")
    tops, lefts = (np.linspace(0, span - 1, n).astype(int) for span, n in ((height, rows), (width, columns)))
    found = [picture[i : i + size, j : j + size] for i in tops for j in lefts]
    return np.stack(found[:number])


class ImageSet(NamedTuple):
    """A finite set of images, as `launch/prepare.py` writes it."""

    images: np.ndarray  # (N, H, W, C) uint8
    groups: np.ndarray | None  # (N,) labels, such as who is shown
    digest: str  # SHA-256 of images and groups, in hexadecimal
    recipe: dict  # how the set was made; empty where the file does not say
    names: np.ndarray | None  # (N,) file names, where known


def read_set(path: Path) -> ImageSet:
    """The image set of a file of `launch/prepare.py`, of a .npz with `images`, or of a bare .npy.

    Args:
      path: images (N, H, W) or (N, H, W, C) with C of 1 or 3, uint8 or floating in [0, 1]. Of a .npz also `groups`,
        `names` and `recipe` (JSON) are read, where it has them.

    Returns:
      ImageSet.

    Raises:
      ValueError: no such file, or its content is something else.
    """
    arrays = sources.read_arrays(Path(path))
    images, groups = sources.to_uint8(arrays["images"], path), arrays.get("groups")
    if groups is not None and groups.shape != images.shape[:1]:
        raise ValueError(f"{path} holds {len(images)} images, but groups of shape {groups.shape}")
    recipe = json.loads(str(arrays["recipe"])) if "recipe" in arrays else {}
    return ImageSet(images, groups, digest(images, groups=groups), recipe, arrays.get("names"))


def digest(images: np.ndarray, *, groups: np.ndarray | None = None) -> str:
    """SHA-256 of an array of images and its groups, their shapes and types included, in hexadecimal."""
    content = hashlib.sha256()
    for array in (images,) if groups is None else (images, groups):
        content.update(f"{array.dtype.str}{array.shape}".encode())
        content.update(np.ascontiguousarray(array))
    return content.hexdigest()


def dataset(
    key: Key,
    *,
    path: str,
    size: int,
    channels: int = 1,
    split: str = "random",
    num_test: int,
    digest: str | None = None,
) -> Dataset:
    """The images of a file, held as uint8 in numpy; sets of one file and size hold the same array.

    Args:
      key: random key, of the split.
      path: file, see `read_set`.
      size: side in pixels; larger images, which must be square, are averaged down to it.
      channels: what the images have, 1 or 3.
      split: how they are dealt to a, b and test: "random"; "group", at random with no group in two; or "order".
      num_test: images of the test set, at most where there are groups, see `splits.of_files`.
      digest: that of the Dataset, where the file must be a certain one.

    Raises:
      ValueError: the file cannot be read, is not the one wanted, or does not fit the options.
    """
    pick("split", dict.fromkeys(_SPLITS), split)
    require_whole("size", size)
    pixels, groups, found = _held(str(path), size, sources.stamp(Path(path)))
    require(pixels.shape[-1] == channels, "channels", channels, f"{pixels.shape[-1]} for the images of {path}")
    if digest not in (None, found):
        raise ValueError(f"{path} is not the file that is meant: digest is {digest}, its own is {found}")
    if split != "group":
        groups = None
    elif groups is None:
        raise ValueError(f"split cannot be group, since {path} holds no groups; it can be random or order")
    numbers = splits.of_files(len(pixels), num_test=num_test, key=key, groups=groups, shuffle=split != "order")
    sizes = {name: len(held) for name, held in numbers.items()}
    return Dataset(pixels.shape[1:], sizes, Partial(splits.gather, pixels, numbers), found)


@functools.lru_cache(maxsize=2)
def _held(path: str, size: int, stamp: str) -> tuple[np.ndarray, np.ndarray | None, str]:
    """Images uint8 (N, size, size, C), groups and digest; `stamp` tells a changed file."""
    images, groups, content, *_ = read_set(Path(path))
    height, width = images.shape[1:3]
    if height != width or size > height:
        raise ValueError(f"size {size} needs square images at least as large, but {path} holds {height}x{width}")
    if size < height:
        blocks = (images[start : start + _BLOCK] for start in range(0, len(images), _BLOCK))
        images = np.concatenate([np.rint(resizing.area_average(block, size=size)).astype(np.uint8) for block in blocks])
    return images, groups, f"{Path(path).name} sha256:{content}"
