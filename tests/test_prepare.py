"""Image sets from files: what is kept, in which order, and the same after a kill."""

import io
import json
import sys
import tarfile
import zipfile

import numpy as np
import pytest
from conftest import ROOT, python
from PIL import Image

from gahr.data import files, resizing
from gahr.experiment.prepare import prepare
from gahr.experiment.progress import Progress

RECIPE = resizing.Recipe(size=20)
NUMBER = 1200
COPIES = {70: 7, 1199: 7, 1103: 1102, 900: 250}  # file -> the earlier one that it nearly is
BROKEN = (3, 512, 1023, 1024, 1198)
REASONS = ("truncated", "not an image", "not an image", "more than 8 bits", "19 pixels is below the size 20")


def listener(**methods):
    """Progress with methods of its own."""
    progress = Progress("off")
    vars(progress).update(methods)
    return progress


def refused(message, source, out, *, recipe=RECIPE, **options):
    with pytest.raises(ValueError, match=message):
        prepare(source, out, recipe=recipe, **options)


def pattern(rng, height, width):
    """RGB image of 6 x 6 random colours, smoothly enlarged."""
    return Image.fromarray(rng.integers(0, 256, (6, 6, 3), dtype=np.uint8)).resize((width, height), 2)


def name_of(number):
    return f"{'early' if number < 800 else 'late'}/{number:05}.png"


def encoded(image):
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture(scope="module")
def contents():
    """File name -> bytes of image files of several sizes, some broken, some copies; not in order."""
    rng = np.random.default_rng(0)
    images = [pattern(rng, 20 + i % 7, 20 + i % 5) for i in range(NUMBER)]
    for copy, first in COPIES.items():
        images[copy] = images[first].point(lambda value: 30 + value // 2)
    contents = {name_of(i): encoded(image) for i, image in enumerate(images)}
    whole = contents[name_of(BROKEN[0])]
    wide = encoded(Image.fromarray(np.full((30, 30), 30_000, np.uint16)))
    broken = (whole[: len(whole) // 2], b"", b"text", wide, encoded(Image.new("RGB", (25, 19))))
    contents |= {name_of(i): content for i, content in zip(BROKEN, broken, strict=True)}
    return {name: contents[name] for name in sorted(contents, key=lambda name: name[::-1])}


@pytest.fixture(scope="module")
def folder(contents, tmp_path_factory):
    path = tmp_path_factory.mktemp("source") / "images"
    for part in ("early", "late"):
        (path / part).mkdir(parents=True)
    for name, content in contents.items():
        (path / name).write_bytes(content)
    (path / ".hidden").write_bytes(b"not listed")
    return path


@pytest.fixture(scope="module")
def prepared(folder, tmp_path_factory):
    out, lines = tmp_path_factory.mktemp("prepared") / "set.npz", []
    return out, prepare(folder, out, recipe=RECIPE, progress=listener(line=lines.append)), lines


def test_counts_order_and_names_are_those_planted(prepared, contents):
    out, counts, lines = prepared
    kept = [name_of(i) for i in range(NUMBER) if i not in {*BROKEN, *COPIES}]
    expected = {"read": NUMBER - 5, "unreadable": 5, "duplicates": 4, "kept": len(kept)}
    assert {key: counts[key] for key in expected} == expected
    assert counts["pairs_above"]["0.95"] == 5  # the two copies of 7 are copies of each other too
    with np.load(out) as arrays:
        assert arrays["names"].tolist() == kept
        assert arrays["unreadable"].tolist() == [name_of(i) for i in BROKEN]
        assert json.loads(str(arrays["counts"])) == counts
        assert len(np.unique(arrays["hashes"])) == len(kept)
        assert "groups" not in arrays
        for i in (0, 500, len(kept) - 1):
            pixels = np.asarray(Image.open(io.BytesIO(contents[kept[i]])))
            top, left = ((length - min(pixels.shape[:2])) // 2 for length in pixels.shape[:2])
            square = pixels[top:, left:][: min(pixels.shape[:2]), : min(pixels.shape[:2])]
            small = np.asarray(Image.fromarray(square).resize((20, 20), Image.Resampling.BICUBIC), float)
            assert np.abs(arrays["images"][i, ..., 0] - small.mean(-1)).max() <= 0.5
    for line, number, reason in zip(lines, BROKEN, REASONS, strict=True):
        assert name_of(number) in line
        assert reason in line
    assert [path.name for path in out.parent.iterdir()] == [out.name]


def test_the_same_input_makes_the_same_file(prepared, folder, tmp_path):
    prepare(folder, tmp_path / "set.npz", recipe=RECIPE)
    assert (tmp_path / "set.npz").read_bytes() == prepared[0].read_bytes()


KILLED = """
import os, signal, sys
from test_prepare import *

def kill():
    os.kill(os.getpid(), signal.SIGKILL)

source, out = sys.argv[1:]
for last in (("images", 1024), ("pairs, in blocks", 1), ("save", 0)):
    child = os.fork()
    if not child:
        if last == ("save", 0):
            np.lib.format.write_array = lambda *_, **__: kill()  # the images are written, the hashes are not
        progress = listener(update=lambda task, done, total: (task, done) == last and kill())
        prepare(source, out, recipe=RECIPE, progress=progress)
        os._exit(0)
    print(os.waitpid(child, 0)[1] == signal.SIGKILL and not os.path.exists(out))
    if last == ("images", 1024):
        with open(f"{out}.work/log.jsonl", "r+") as log:
            print(*[json.loads(line)["step"] for line in log])
            log.write('{"step": 1200, "unread')  # as if the kill had come a moment later
"""


def test_a_killed_call_goes_on_to_the_same_file(prepared, folder, tmp_path):
    out, seen = tmp_path / "set.npz", []
    done = python("-c", KILLED, folder, out)
    assert done.stdout.splitlines() == ["True", "512 1024", "True", "True"], done.stderr
    progress = listener(update=lambda task, done, total: seen.append((task, done)))
    assert prepare(folder, out, recipe=RECIPE, progress=progress) == prepared[1]
    assert seen[0] == ("images", NUMBER)  # nothing is decoded again
    assert out.read_bytes() == prepared[0].read_bytes()
    assert [path.name for path in tmp_path.iterdir()] == ["set.npz"]


def test_partial_work_of_a_call_that_failed_is_started_over(folder, prepared, tmp_path):
    out, lines = tmp_path / "set.npz", []
    refused("truncated", folder, out, recipe=RECIPE._replace(grey="luma"), strict=True)
    assert prepare(folder, out, recipe=RECIPE, progress=listener(line=lines.append)) == prepared[1]
    assert "begun with other options or another source; starting over" in lines[0]
    assert out.read_bytes() == prepared[0].read_bytes()


@pytest.fixture
def people(tmp_path):
    """A .npz of 60 images of 12 people, image 9 a copy of image 4."""
    rng = np.random.default_rng(1)
    images = np.stack([np.asarray(pattern(rng, 24, 24).convert("L")) for _ in range(60)])
    images[9] = images[4]
    np.savez(tmp_path / "people.npz", images=images, person_id=np.arange(60) % 12)
    return tmp_path / "people.npz"


def test_two_calls_at_once_do_not_meet(people, tmp_path, unclear):
    out, second = tmp_path / "set.npz", []
    cases = {(people, out, "--size=24"): "another call is at work in"}
    progress = listener(update=lambda *_: second or second.append(unclear("prepare", cases)))
    assert prepare(people, out, recipe=RECIPE, progress=progress)["kept"] == 59
    assert second == [[]]
    assert files.read_set(out).images.shape == (59, 20, 20, 1)


PEAK = """
import atexit, re, runpy, sys
sys.argv = sys.argv[1:]
atexit.register(lambda: print(re.search(r"VmHWM:\\s*(\\d+) kB", open("/proc/self/status").read())[1]))
runpy.run_path(sys.argv[0], run_name="__main__")
"""  # not ru_maxrss, which a process takes over from the one that starts it


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of memory from /proc")
def test_memory_does_not_grow_with_the_images(tmp_path):
    peaks = []
    for number in (600, 4800):  # 15 and 123 MB
        images = np.random.default_rng(2).integers(0, 256, (number, 20, 20), dtype=np.uint8)
        images[9::10] = images[0]
        np.save(tmp_path / "images.npy", images.repeat(8, 1).repeat(8, 2))
        paths = tmp_path / "images.npy", tmp_path / f"{number}.npz"
        done = python("-c", PEAK, ROOT / "launch" / "prepare.py", "--size=160", "--progress=off", *paths)
        assert done.returncode == 0, done.stderr
        assert f"{number // 10} duplicates" in done.stdout
        peaks.append(int(done.stdout.split()[-1]) / 1000)
    assert peaks[1] - peaks[0] < 60


def test_archives_hold_the_same_images_as_the_folder(contents, prepared, tmp_path):
    with zipfile.ZipFile(tmp_path / "images.zip", "w") as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    for kind, mode in (("tar", "w"), ("tar.gz", "w:gz")):
        with tarfile.open(tmp_path / f"images.{kind}", mode) as archive:
            for name, content in contents.items():
                member = tarfile.TarInfo(name)
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
    expected = files.read_set(prepared[0])
    for path in list(tmp_path.iterdir()):
        out = tmp_path / f"{path.name}.npz"
        assert prepare(path, out, recipe=RECIPE) == prepared[1]
        assert files.read_set(out).digest == expected.digest
        assert np.array_equal(files.read_set(out).names, expected.names)


def test_strict_and_unusable_sources_are_errors(folder, tmp_path):
    texts, out = tmp_path / "texts", tmp_path / "set.npz"
    refused(r"early/00003\.png cannot be read: .*truncated", folder, out, strict=True)
    refused(r"early/00003\.png", folder, out, strict=True)  # remembered by the partial work
    texts.mkdir()
    refused("holds no files", texts, tmp_path / "none.npz")
    (texts / "a.txt").write_text("a")
    refused(r"no image of .* can be used, such as a\.txt: not an image", texts, tmp_path / "none.npz")
    refused("lies in the folder", texts, texts / "set.npz")
    (tmp_path / "full.npz").touch()
    refused("exists; give another name", folder, tmp_path / "full.npz")
    refused(r"grey must be one of mean, luma, none, got 'gray'", folder, out, recipe=RECIPE._replace(grey="gray"))


def test_groups_stay_with_their_images(people, tmp_path):
    recipe, labels, third = RECIPE._replace(size=24), str(tmp_path / "labels.npy"), tmp_path / "third.npz"
    prepare(people, tmp_path / "set.npz", recipe=recipe, groups="person_id")
    held, expected = files.read_set(tmp_path / "set.npz"), np.delete(np.arange(60), 9)
    np.testing.assert_array_equal(held.groups, expected % 12)
    np.testing.assert_array_equal(held.images[..., 0], np.load(people)["images"][expected])
    assert held.recipe["groups"] == "person_id"
    np.save(labels, np.arange(60) % 12)
    prepare(people, tmp_path / "other.npz", recipe=recipe, groups=labels)
    assert files.read_set(tmp_path / "other.npz").digest == held.digest
    refused(r"got 'person'; it holds person_id", people, third, groups="person")
    np.save(labels, np.arange(59))
    refused("one label for each of 60 files", people, third, groups=labels)


def test_arrays_of_any_layout_make_the_same_set(people, tmp_path, monkeypatch):
    monkeypatch.setattr("gahr.experiment.prepare._BLOCK", 25)
    images, recipe = np.load(people)["images"], RECIPE._replace(size=24)
    prepare(people, tmp_path / "set.npz", recipe=recipe)
    expected = files.read_set(tmp_path / "set.npz").digest
    np.savez_compressed(tmp_path / "zip.npz", images=images)
    for name, array in {"stored": images, "floats": images / 255, "columns": np.asfortranarray(images)}.items():
        np.save(tmp_path / f"{name}.npy", array)
    for name in ("zip.npz", "stored.npy", "floats.npy", "columns.npy"):
        out = tmp_path / f"{name}.npz"
        with pytest.raises(ZeroDivisionError):  # at image 50 of 60
            prepare(
                tmp_path / name, out, recipe=recipe, progress=listener(update=lambda _, done, __: done < 50 or 1 / 0)
            )
        prepare(tmp_path / name, out, recipe=recipe)
        assert files.read_set(out).digest == expected


def test_damaged_arrays_are_errors(people, tmp_path):
    images, stored = np.load(people)["images"], people.read_bytes()
    np.save(tmp_path / "short.npy", images)
    (tmp_path / "short.npy").write_bytes((tmp_path / "short.npy").read_bytes()[:-100])
    np.save(tmp_path / "wide.npy", images / 1.0)
    np.savez(tmp_path / "named.npz", images=images, names=np.array(["a", "b"]))
    (tmp_path / "damaged.npz").write_bytes(stored.replace(images[50].tobytes(), images[51].tobytes()))
    for name, message in (
        ("short.npy", "cannot be read as arrays"),
        ("wide.npy", r"intensities in \[0, 1\], not"),
        ("named.npz", "60 images, but 2 names"),
        ("damaged.npz", "Bad CRC-32"),
    ):
        refused(message, tmp_path / name, tmp_path / "set.npz")


def test_the_command_prints_what_it_kept(people, tmp_path, launch):
    out = tmp_path / "set.npz"
    done = launch("prepare", people, out, "--size=20", "--groups=person_id", "--grey=none", "--threshold=0.99")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == f"{out}: 60 read, 0 unreadable, 1 duplicates, 59 kept"
    assert "pairs of correlation above 0.95: 1" in done.stdout
    assert files.read_set(out).images.shape == (59, 20, 20, 3)
    assert files.read_set(out).recipe["threshold"] == 0.99


def test_bad_commands_are_one_clear_line(people, tmp_path, unclear):
    cases = {
        ("--recipe=celebra",): "unknown recipe 'celebra'; did you mean celeba?",
        ("--margins=1,2,x,4",): "margins must be four whole numbers, got 1,2,x,4",
        ("--margins=1,2",): "margins must be four numbers",
        ("--keep_duplicates", "--threshold=0.5"): "--threshold has no use",
        (): "can be used",
    }
    paths = people, tmp_path / "set.npz", "--progress=off"
    found = unclear("prepare", {(*paths, *options): message for options, message in cases.items()})
    assert not found, found
