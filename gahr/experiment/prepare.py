"""From a folder, an archive or an array of images to one file for `gahr.data.files.read_set`."""

import functools
import hashlib
import json
import math
import shutil
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import IO

import numpy as np
import PIL

from gahr.data import duplicates, resizing, sources
from gahr.experiment import storage
from gahr.experiment.progress import Progress

_BLOCK = 512  # images between two notes of how far the work is, at most
_BYTES = 2**25  # about so much of them, or of their files, in memory


def prepare(
    source: Path,
    out: Path,
    *,
    recipe: resizing.Recipe,
    groups: str | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> dict:
    """Make a set of small square images, near-duplicates removed, in the order of the file names.

    A call that was killed goes on where it was when it is repeated, with the same result: partial work is kept in
    `OUT.work` until `out` is complete. What other options or another source left there is started over. Images stay
    on disk but for a block; to find duplicates, 1.6 kB for each are held in memory.

    `out` holds images (N, size, size, C) uint8, names, hashes (SHA-256 of each image), groups where asked for,
    unreadable (names of what was left out), counts and recipe (JSON).

    Args:
      source: folder, zip or tar of image files, or .npy or .npz with `images`.
      out: file to write, .npz.
      recipe: what is done to each image, and when two are duplicates.
      groups: labels, one for each file in order: an array of a .npz source, or the path of a .npy.
      strict: an unreadable file is an error; otherwise it is reported and left out.
      progress: shows how far the work is.

    Returns:
      The counts: read, unreadable, duplicates, kept, and pairs_above (level -> number of pairs) unless the recipe
      keeps duplicates.

    Raises:
      ValueError, OSError: an option or the source cannot be used, `out` exists or another call is making it, or a
        strict reading failed.
    """
    source, out, progress = Path(source), Path(out), progress or Progress()
    work = out.with_name(f"{out.name}.work")
    resizing.check(recipe)
    if out.suffix != ".npz":
        raise ValueError(f"the output must be a .npz file, not {out}")
    if out.exists() and not work.exists():
        raise ValueError(f"{out} exists; give another name")
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{out} lies in the folder of images; give another place")
    contents = sources.open_source(source)
    labels = _labels(contents, groups)
    made = {"source": source.name, "groups": groups and Path(groups).name, **recipe._asdict()}
    made["pillow"] = PIL.__version__  # what resizes
    busy = f"another call is at work in {work}; wait for it, or give another output"
    with storage.alone(work, otherwise=busy):
        _claim(work, out, json.dumps(made | {"stamp": contents.stamp}), progress)
        if not out.exists():
            shape = (len(contents.names), recipe.size, recipe.size, resizing.channels(recipe))
            unreadable = _convert(contents, recipe, work, shape, strict, progress)
            if len(unreadable) == len(contents.names):
                raise ValueError(f"no image of {source.name} can be used, such as {contents.names[0]}: {unreadable[0]}")
            keep = np.ones(len(contents.names), bool)
            keep[list(unreadable)] = False
            pixels = functools.partial(_blocks, work / "pixels", shape)
            keep, counts = _select(pixels, keep, recipe, progress)
            arrays = {"counts": np.array(json.dumps(counts)), "names": np.array(contents.names)[keep]}
            arrays["recipe"] = np.array(json.dumps(made))
            arrays["unreadable"] = np.array([contents.names[i] for i in sorted(unreadable)], str)
            if labels is not None:
                arrays["groups"] = labels[keep]
            for stale in out.parent.glob(f"{out.name}.*.partial"):  # of a call that was killed
                stale.unlink(missing_ok=True)
            shape = (counts["kept"], *shape[1:])
            storage.write_whole(out, lambda file: _write(file, pixels(keep), shape, arrays))
        shutil.rmtree(work, ignore_errors=True)
    with np.load(out) as arrays:
        return json.loads(str(arrays["counts"]))


def _claim(work: Path, out: Path, claim: str, progress: Progress) -> None:
    """Drop partial work that was begun with another claim; ValueError where it is complete, that is, `out` exists."""
    file = work / "claim.json"
    begun = file.read_text() if file.exists() else None
    if begun == claim:
        return
    if out.exists():
        raise ValueError(f"{out} exists; give another name")
    if begun is not None:
        progress.line(f"{work} was begun with other options or another source; starting over")
    for name in ("log.jsonl", "pixels"):
        (work / name).unlink(missing_ok=True)
    storage.write_whole(file, lambda content: content.write(claim.encode()))


def _labels(contents: sources.Source, groups: str | None) -> np.ndarray | None:
    if groups is None:
        return None
    if groups.endswith(".npy"):
        try:
            labels = np.load(groups)
        except (OSError, EOFError, ValueError) as error:
            raise ValueError(f"{groups} cannot be read as groups: {error}") from error
    elif groups in contents.arrays:
        labels = contents.arrays[groups]
    else:
        held = ", ".join(contents.arrays) or "none"
        raise ValueError(f"groups must be a .npy file or an array of the source, got {groups!r}; it holds {held}")
    if labels.shape != (len(contents.names),):
        raise ValueError(
            f"groups {groups} must be one label for each of {len(contents.names)} files, not {labels.shape}"
        )
    return labels


def _convert(
    contents: sources.Source, recipe: resizing.Recipe, work: Path, shape: tuple, strict: bool, progress: Progress
) -> dict[int, str]:
    """Write all images to `work/pixels`, a block at a time; returns number of image -> why it cannot be read."""
    log, total = work / "log.jsonl", shape[0]
    storage.drop_json_lines_after(log, total)  # and the last line if it was cut short
    records = storage.json_lines(log)
    unreadable = [pair for record in records for pair in record["unreadable"]]
    done = records[-1]["step"] if records else 0
    with open(work / "pixels", "r+b" if records else "wb") as file, ThreadPoolExecutor() as pool:
        file.truncate(int(np.prod(shape)))
        remaining = _contents(contents.read(done), _per_block(shape))
        while True:
            for number, reason in unreadable:
                if strict:
                    raise ValueError(f"{contents.names[number]} cannot be read: {reason}")
            progress.update("images", done, total)
            if done == total:
                break
            block = next(remaining)
            images = pool.map(functools.partial(_image, recipe), [content for _, content in block])
            failed = []
            for (number, _), image in zip(block, images, strict=True):
                if isinstance(image, str):
                    failed.append((number, image))
                    progress.line(f"left out {contents.names[number]}: {image}")
                else:
                    file.seek(number * image.size)
                    file.write(image.tobytes())
            file.flush()
            done += len(block)
            unreadable += failed
            storage.append_json_line(log, {"step": done, "unreadable": failed})
    return dict(unreadable)


def _contents(remaining: Iterator, number: int) -> Iterator[list[tuple[int, bytes | np.ndarray | str]]]:
    """Blocks of numbers of images and contents: of up to `number` images, fewer where they fill the memory."""
    block, size = [], 0
    for i, read in remaining:
        try:
            content = read()
        except Exception as error:  # each archive format and compression has its own
            content = _reason(error)
        block.append((i, content))
        size += content.nbytes if isinstance(content, np.ndarray) else len(content)
        if len(block) == number or size > _BYTES:
            yield block
            block, size = [], 0
    if block:
        yield block


def _image(recipe: resizing.Recipe, content: bytes | np.ndarray | str) -> np.ndarray | str:
    """The finished image, or why there is none."""
    if isinstance(content, str):
        return content
    try:
        return resizing.apply(recipe, sources.decode(content))
    except PIL.UnidentifiedImageError:
        return "not an image"
    except Exception as error:  # a decoder may raise anything on damaged bytes
        return _reason(error)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _per_block(shape: tuple) -> int:
    """Images (N, H, W, C) that are held in memory at a time."""
    return max(1, min(_BLOCK, _BYTES // math.prod(shape[1:])))


def _blocks(path: Path, shape: tuple, keep: np.ndarray) -> Iterator[np.ndarray]:
    """The images of a file of pixels that are kept, a block at a time."""
    number = _per_block(shape)
    with open(path, "rb") as file:  # read, since mapped pages count as memory of the process
        for start in range(0, len(keep), number):
            block = np.fromfile(file, np.uint8, number * math.prod(shape[1:])).reshape(-1, *shape[1:])
            yield block[keep[start : start + number]]


def _select(
    pixels: Callable[[np.ndarray], Iterator], keep: np.ndarray, recipe: resizing.Recipe, progress: Progress
) -> tuple[np.ndarray, dict]:
    """Which of the images to `keep` (N,) are no duplicates, and the counts."""
    read = int(keep.sum())
    counts = {"read": read, "unreadable": len(keep) - read, "duplicates": 0, "kept": read}
    if recipe.threshold is not None:
        vectors, done = None, 0  # filled block by block: two copies would be most of the memory
        for block in map(duplicates.signatures, pixels(keep)):
            vectors = np.empty((read, *block.shape[1:]), block.dtype) if vectors is None else vectors
            vectors[done : done + len(block)] = block
            done += len(block)
        similarity = duplicates.similarity(vectors, report=functools.partial(progress.update, "pairs, in blocks"))
        keep[keep] = similarity.closest <= recipe.threshold
        counts["kept"] = int(keep.sum())
        counts["duplicates"] = read - counts["kept"]
        counts["pairs_above"] = {str(level): number for level, number in similarity.pairs.items()}
    return keep, counts


def _write(file: IO[bytes], blocks: Iterator[np.ndarray], shape: tuple, arrays: dict[str, np.ndarray]) -> None:
    """What `np.savez` writes, without holding all the images, which it does; their hashes too."""
    hashes = []
    with zipfile.ZipFile(file, "w") as archive:
        with archive.open("images.npy", "w", force_zip64=True) as member:
            header = {"descr": "|u1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(member, header)
            for block in blocks:
                member.write(block)
                hashes += [hashlib.sha256(image).hexdigest() for image in block]
        for name, array in {"hashes": np.array(hashes), **arrays}.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)
