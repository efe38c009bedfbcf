"""Images from files."""

from importlib import resources
from pathlib import Path

import numpy as np
from PIL import Image, UnidentifiedImageError


def photograph() -> Path:
    """A photograph (600 x 512) that comes with matplotlib."""
    return Path(str(resources.files("matplotlib") / "mpl-data" / "sample_data" / "grace_hopper.jpg"))


def read_image(path: Path, *, size: int | None = None, channels: int = 1) -> np.ndarray:
    """One image file, resized and cropped to a square.

    The shorter side is resized to `size` (bicubic with antialiasing) and the middle of the longer is kept.

    Args:
      path: any format that Pillow reads.
      size: side of the result in pixels; the file's own size where None.
      channels: 1 for grey, the mean of red, green and blue; 3 for colour.

    Returns:
      Image (H, W, channels), float32 in [0, 1].

    Raises:
      ValueError: the file is no readable image, or channels is neither 1 nor 3.
    """
    if channels not in (1, 3):
        raise ValueError(f"channels must be 1 or 3, got {channels}")
    try:
        with Image.open(path) as file:
            image = file.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise ValueError(f"{path} cannot be read as an image: {error}") from error
    if size is not None:
        width, height = image.size
        shorter, left, top = min(width, height), (width - min(width, height)) // 2, (height - min(width, height)) // 2
        box = (left, top, left + shorter, top + shorter)
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
    pixels = np.asarray(image, np.float32) / 255
    return pixels if channels == 3 else pixels.mean(-1, keepdims=True)


def crops(path: Path, *, size: int, number: int) -> np.ndarray:
    """Grey crops (number, size, size, 1) on a grid over an image file, which overlap as little as their number allows.

    Raises:
      ValueError: the file is no readable image, or it has no two places for a crop along a side.
    """
    picture = read_image(path)
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
