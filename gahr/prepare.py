"""From a folder, an archive or an array of images to one file for `gahr.data.files.read_set`."""

import functools
import hashlib
import itertools
import json
import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import PIL

from gahr import run_directory
from gahr.data import faces, files
from gahr.progress import Progress

_BLOCK = 512  # images between two notes of how far the work is


def prepare(
    source: Path,
    out: Path,
    *,
    recipe: faces.Recipe,
    groups: str | None = None,
    strict: bool = False,
    progress: Progress | None = None,
) -> dict:
    """Make a set of small square images, near-duplicates removed, in the order of the file names.

    A call that was killed goes on where it was when it is repeated, with the same result: partial work is kept in
    `OUT.work` until `out` is complete. `out` holds images (N, size, size, C) uint8, names, hashes (SHA-256 of each
    image), groups where asked for, unreadable (names of what was left out), counts and recipe (JSON).

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
      ValueError, OSError: an option or the source cannot be used, `out` exists, or a strict reading failed.
    """
    source, out, progress = Path(source), Path(out), progress or Progress()
    work = out.with_name(f"{out.name}.work")
    faces.check(recipe)
    if out.suffix != ".npz":
        raise ValueError(f"the output must be a .npz file, not {out}")
    if out.exists() and not work.exists():
        raise ValueError(f"{out} exists; give another name")
    if source.is_dir() and out.resolve().is_relative_to(source.resolve()):
        raise ValueError(f"{out} lies in the folder of images; give another place")
    if not out.exists():
        contents = files.open_source(source)
        labels = _labels(contents, groups)
        made = {"source": source.name, "groups": groups and Path(groups).name, **recipe._asdict()}
        made["pillow"] = PIL.__version__  # what resizes
        _claim(work, made | {"stamp": contents.stamp})
        shape = (len(contents.names), recipe.size, recipe.size, faces.channels(recipe))
        unreadable = _convert(contents, recipe, work, shape, strict, progress)
        if len(unreadable) == len(contents.names):
            raise ValueError(f"no image of {source} can be used, such as {contents.names[0]}: {unreadable[0]}")
        pixels = np.memmap(work / "pixels", np.uint8, "r", shape=shape)
        arrays = _select(pixels, sorted(unreadable), recipe, progress)
        arrays |= {"names": np.array(contents.names)[arrays["index"]], "recipe": np.array(json.dumps(made))}
        arrays["unreadable"] = np.array([contents.names[i] for i in sorted(unreadable)], str)
        if labels is not None:
            arrays["groups"] = labels[arrays["index"]]
        del arrays["index"]
        for stale in out.parent.glob(f"{out.name}.*.partial"):  # of a call that was killed
            stale.unlink(missing_ok=True)
        run_directory.write_whole(out, lambda file: np.savez(file, **arrays))
    shutil.rmtree(work)
    with np.load(out) as arrays:
        return json.loads(str(arrays["counts"]))


def _labels(contents: files.Source, groups: str | None) -> np.ndarray | None:
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
        held = f"the source holds {', '.join(contents.arrays)}" if contents.arrays else "the source is no .npz"
        raise ValueError(f"groups must be a .npy file or an array of the source, got {groups!r}; {held}")
    if labels.shape != (len(contents.names),):
        raise ValueError(
            f"groups {groups} must be one label for each of {len(contents.names)} files, not {labels.shape}"
        )
    return labels


def _claim(work: Path, made: dict) -> None:
    """Make the directory of partial work, or check that it is of the same call."""
    work.mkdir(parents=True, exist_ok=True)
    claim, text = work / "claim.json", json.dumps(made)
    if claim.exists() and claim.read_text() != text:
        raise ValueError(f"{work} was begun with other options or another source; delete it to start over")
    run_directory.write_whole(claim, lambda file: file.write(text.encode()))


def _convert(
    contents: files.Source, recipe: faces.Recipe, work: Path, shape: tuple, strict: bool, progress: Progress
) -> dict[int, str]:
    """Write all images to `work/pixels`, a block at a time; returns number of image -> why it cannot be read."""
    log, total = work / "log.jsonl", shape[0]
    run_directory.drop_json_lines_after(log, total)  # and the last line if it was cut short
    records = run_directory.json_lines(log)
    unreadable = [pair for record in records for pair in record["unreadable"]]
    done = records[-1]["step"] if records else 0
    with open(work / "pixels", "r+b" if records else "wb") as file, ThreadPoolExecutor() as pool:
        file.truncate(int(np.prod(shape)))
        remaining = contents.read(done)
        while True:
            for number, reason in unreadable:
                if strict:
                    raise ValueError(f"{contents.names[number]} cannot be read: {reason}")
            progress.update("images", done, total)
            if done == total:
                break
            block = [(number, _content(read)) for number, read in itertools.islice(remaining, _BLOCK)]
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
            run_directory.append_json_line(log, {"step": done, "unreadable": failed})
    return dict(unreadable)


def _content(read: Callable) -> bytes | np.ndarray | str:
    """Content of a file, or why there is none."""
    try:
        return read()
    except Exception as error:  # each archive format and compression has its own
        return _reason(error)


def _image(recipe: faces.Recipe, content: bytes | np.ndarray | str) -> np.ndarray | str:
    """The finished image, or why there is none."""
    if isinstance(content, str):
        return content
    try:
        return faces.apply(recipe, files.decode(content))
    except PIL.UnidentifiedImageError:
        return "not an image"
    except Exception as error:  # a decoder may raise anything on damaged bytes
        return _reason(error)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


def _select(pixels: np.ndarray, unreadable: list[int], recipe: faces.Recipe, progress: Progress) -> dict:
    """Images that are kept, their numbers, hashes, and the counts."""
    index = np.setdiff1d(np.arange(len(pixels)), unreadable)
    counts = {"read": len(index), "unreadable": len(unreadable), "duplicates": 0, "kept": len(index)}
    if recipe.threshold is not None:
        vectors = None  # filled block by block: two copies would be most of the memory
        for start in range(0, len(index), _BLOCK):
            block = faces.signatures(pixels[index[start : start + _BLOCK]])
            vectors = np.empty((len(index), *block.shape[1:]), block.dtype) if vectors is None else vectors
            vectors[start : start + _BLOCK] = block
        similarity = faces.similarity(vectors, report=functools.partial(progress.update, "pairs, in blocks"))
        index = index[similarity.closest <= recipe.threshold]
        counts |= {"duplicates": counts["read"] - len(index), "kept": len(index)}
        counts["pairs_above"] = {str(level): number for level, number in similarity.pairs.items()}
    images = pixels if len(index) == len(pixels) else pixels[index]
    hashes = np.array([hashlib.sha256(image).hexdigest() for image in images])
    return {"images": images, "index": index, "hashes": hashes, "counts": np.array(json.dumps(counts))}
