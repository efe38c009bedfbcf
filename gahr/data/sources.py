"""Where images come from: folders, archives and arrays in files."""

import contextlib
import functools
import hashlib
import io
import lzma
import math
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

import numpy as np
from PIL import Image


class Source(NamedTuple):
    """Images still to be decoded, in a folder, an archive or an array."""

    names: list[str]  # ascending for files, in order for an array
    stamp: str  # changes with names, sizes and times of the files
    read: Callable[[int], Iterator[tuple[int, Callable[[], bytes | np.ndarray]]]]  # first -> (number of name, content)
    arrays: dict[str, np.ndarray]  # what a .npz holds besides images


def open_source(path: Path) -> Source:
    """Everything that may be an image in a folder, a zip, a tar, a .npz with `images` or a .npy.

    Files whose names start with a dot are left out. `read` goes through the contents in the order that is fastest,
    always the same, starting with the one numbered `first` in it.

    Raises:
      ValueError: there is nothing, or it is something else.
    """
    path = Path(path)
    if path.is_dir():
        source = _folder(path)
    elif not path.is_file():
        raise ValueError(f"there is no {path}")
    elif path.suffix in (".npy", ".npz"):
        source = _array(path)
    elif zipfile.is_zipfile(path):
        source = _zip(path)
    elif tarfile.is_tarfile(path):
        source = _tar(path)
    else:
        raise ValueError(f"{path} is neither a folder nor a file of zip, tar, .npz or .npy")
    if not source.names:
        raise ValueError(f"{path} holds no files")
    return source


def decode(content: bytes | np.ndarray) -> Image.Image:
    """An RGB image from the content of a file or from pixels (H, W, C).

    Raises:
      Exception: whatever Pillow raises for bytes that are no image; ValueError for more than 8 bits a channel.
    """
    if isinstance(content, np.ndarray):
        return Image.fromarray(content[..., 0] if content.shape[-1] == 1 else content).convert("RGB")
    with Image.open(io.BytesIO(content)) as image:
        if image.mode.startswith(("I", "F")):
            raise ValueError(f"pixels of mode {image.mode}, more than 8 bits, are not supported")
        return image.convert("RGB")


def stamp(path: Path) -> str:
    """Size and time of change of a file; ValueError where there is none."""
    try:
        status = path.stat()
    except OSError as error:
        raise ValueError(f"there is no file {path}") from error
    return f"{status.st_size} {status.st_mtime_ns}"


def _hidden(name: str) -> bool:
    return any(part.startswith(".") for part in PurePosixPath(name).parts)


def _folder(path: Path) -> Source:
    files = {file.relative_to(path).as_posix(): file for file in path.rglob("*") if file.is_file()}
    names = sorted(name for name in files if not _hidden(name))
    state = hashlib.sha256("\n".join(f"{name} {stamp(files[name])}" for name in names).encode(errors="replace"))
    numbers = range(len(names))
    return Source(
        names, state.hexdigest(), lambda first: ((i, files[names[i]].read_bytes) for i in numbers[first:]), {}
    )


def _zip(path: Path) -> Source:
    archive = zipfile.ZipFile(path)
    names = sorted({info.filename for info in archive.infolist() if not info.is_dir() and not _hidden(info.filename)})
    contents = [functools.partial(archive.read, name) for name in names]
    return Source(names, stamp(path), lambda first: enumerate(contents[first:], first), {})


def _tar(path: Path) -> Source:
    try:
        with tarfile.open(path) as archive:
            members = {member.name: member for member in archive if member.isfile() and not _hidden(member.name)}
    except (tarfile.TarError, OSError, EOFError, zlib.error, lzma.LZMAError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    number = {name: i for i, name in enumerate(sorted(members))}
    stored = sorted(members.values(), key=lambda member: member.offset)  # going back in a compressed file is slow

    def read(first: int) -> Iterator:
        with tarfile.open(path) as archive:
            for member in stored[first:]:
                yield number[member.name], lambda member=member: archive.extractfile(member).read()

    return Source(list(number), stamp(path), read, {})


@contextlib.contextmanager
def _stored(path: Path) -> Iterator[tuple[IO[bytes], tuple[int, ...], bool, np.dtype]]:
    """The images of a .npz or a .npy: their file behind the header, shape, whether by columns, and type."""
    with contextlib.ExitStack() as stack:
        if path.suffix == ".npz":
            archive = stack.enter_context(zipfile.ZipFile(path))
            file = stack.enter_context(archive.open("images.npy"))
        else:
            file = stack.enter_context(open(path, "rb"))
        first = np.lib.format.read_magic(file) == (1, 0)
        header = np.lib.format.read_array_header_1_0 if first else np.lib.format.read_array_header_2_0
        yield file, *header(file)


def _array(path: Path) -> Source:
    arrays = read_arrays(path, leave="images") if path.suffix == ".npz" else {}
    with _unreadable_as_arrays(path), _stored(path) as (_, shape, by_columns, dtype):
        pass
    _check(shape, dtype, path)
    names = [str(name) for name in arrays.get("names", ())] or [f"{i:07}" for i in range(shape[0])]
    if len(names) != shape[0]:
        raise ValueError(f"{path} holds {shape[0]} images, but {len(names)} names")

    def read(first: int) -> Iterator:
        size = math.prod(shape[1:]) * dtype.itemsize
        with _stored(path) as (file, *_):
            with _unreadable_as_arrays(path):
                file.seek(first * size, os.SEEK_CUR)
            for i in range(first, len(names)):
                with _unreadable_as_arrays(path):  # read, since mapped pages count as memory of the process
                    stored = np.frombuffer(file.read(size), dtype).reshape(1, *shape[1:])
                image = to_uint8(stored, path)[0]
                yield i, lambda image=image: image

    if by_columns:  # an image lies all over the file
        images = to_uint8(read_arrays(path)["images"], path)
        read = lambda first: ((i, lambda i=i: images[i]) for i in range(first, len(images)))
    return Source(names, stamp(path), read, arrays)


@contextlib.contextmanager
def _unreadable_as_arrays(path: Path) -> Iterator[None]:
    """Whatever reading damaged arrays raises, as ValueError."""
    try:
        yield
    except (OSError, EOFError, KeyError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise ValueError(f"{path} cannot be read as arrays: {error}") from error


def read_arrays(path: Path, *, leave: str | None = None) -> dict[str, np.ndarray]:
    """Arrays of a .npz, but for the one to `leave`, or the one of a .npy as `images`."""
    if not path.is_file():
        raise ValueError(f"there is no file {path}")
    with _unreadable_as_arrays(path):
        content = np.load(path)
        if isinstance(content, np.ndarray):
            content = {"images": content}
        arrays = {name: content[name] for name in content if name != leave}
    if "images" not in content:
        raise ValueError(f"{path} holds no array images, but {', '.join(content) or 'none'}")
    return arrays


def _check(shape: tuple[int, ...], dtype: np.dtype, path: Path) -> None:
    """ValueError unless images of a file have a shape and a type that can be used."""
    if len(shape) not in (3, 4) or shape[3:] not in ((), (1,), (3,)) or 0 in shape:
        raise ValueError(f"{path} must hold images (N, H, W) or (N, H, W, C) with C = 1 or 3, not {shape}")
    if dtype != np.uint8 and not np.issubdtype(dtype, np.floating):
        raise ValueError(f"{path} must hold uint8 or intensities in [0, 1], not {dtype}")


def to_uint8(images: np.ndarray, path: Path) -> np.ndarray:
    """Images of a file as uint8 (N, H, W, C)."""
    _check(images.shape, images.dtype, path)
    images = images[..., None] if images.ndim == 3 else images
    if images.dtype == np.uint8:
        return images
    if not (images.min() >= 0 and images.max() <= 1):
        raise ValueError(f"{path} must hold uint8 or intensities in [0, 1], not {images.min()} to {images.max()}")
    return np.rint(255 * images).astype(np.uint8)
