"""Makes one file of small square images from a folder, zip or tar of image files, or from an array.

    python launch/prepare.py img_align_celeba.zip celeba80.npz --recipe=celeba
    python launch/prepare.py bedroom/ bedroom32.npz --recipe=lsun --size=32
    python launch/prepare.py faces.npz faces40.npz --size=40 --groups=person_id

Train on it with data=dict(name="file", path="celeba80.npz", ...). Stopped or killed, the same command goes on; with
other options it starts over. Memory is 1.6 kB an image and about 300 MB, whatever the size of the images.
"""

import os
import signal
import sys

_STOPPED = "\nstopped; the same command goes on"


def _leave(signum, frame) -> None:
    os.write(2, f"{_STOPPED}\n".encode())
    os._exit(0)


if __name__ == "__main__":  # before the slow imports
    signal.signal(signal.SIGINT, _leave)
    signal.signal(signal.SIGTERM, _leave)

from absl import flags, logging  # noqa: E402

from gahr.experiment import command  # noqa: E402

FLAGS = flags.FLAGS
_RECIPE = flags.DEFINE_string("recipe", "plain", "plain, celeba or lsun: what the flags below are where left out.")
flags.DEFINE_list("margins", None, "Pixels cut off above, below, left and right, such as 29,29,9,9.")
flags.DEFINE_integer("corner", None, "Then keep the upper left square of this side.")
flags.DEFINE_integer("size", None, "Resize the middle square to this side (bicubic, antialiased); 80 in all recipes.")
flags.DEFINE_string("grey", None, "mean, luma, or none for colour.")
flags.DEFINE_float("threshold", None, "Drop the later of two images of a higher correlation at 20x20; 0.95.")
_KEEP = flags.DEFINE_bool("keep_duplicates", False, "Keep duplicates, and do not look for them.")
_GROUPS = flags.DEFINE_string("groups", None, "Labels for data.split=group: an array of the .npz, or a .npy file.")
_STRICT = flags.DEFINE_bool("strict", False, "Stop at a file that cannot be read, rather than leave it out.")
_PROGRESS = flags.DEFINE_enum("progress", "auto", ["auto", "plain", "off"], "Bars, plain lines, or nothing.")
_DEBUG = flags.DEFINE_bool("debug", False, "Show the stack trace of an error.")


def _recipe():
    from gahr.data import resizing
    from gahr.names import pick

    recipe = pick("recipe", resizing.RECIPES, _RECIPE.value)
    given = {field: FLAGS[field].value for field in resizing.Recipe._fields if FLAGS[field].value is not None}
    if "margins" in given:
        try:
            given["margins"] = tuple(int(number) for number in given["margins"])
        except ValueError:
            raise ValueError(f"margins must be four whole numbers, got {','.join(given['margins'])}") from None
    if _KEEP.value:
        if "threshold" in given:
            raise ValueError("--keep_duplicates looks for none, so that --threshold has no use; give one of the two")
        given["threshold"] = None
    return recipe._replace(**given)


def main(argv: list[str]) -> None:
    if len(argv) != 3:
        raise ValueError(f"two paths are needed, source and output, not {len(argv) - 1}; see --help")
    logging.set_verbosity(logging.WARNING)
    from gahr.experiment.prepare import prepare
    from gahr.experiment.progress import Progress

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    options = dict(recipe=_recipe(), groups=_GROUPS.value, strict=_STRICT.value)
    try:
        with Progress(_PROGRESS.value) as progress:
            counts = prepare(*argv[1:], **options, progress=progress)
    except KeyboardInterrupt:
        print(_STOPPED, file=sys.stderr)
        return
    pairs = counts.pop("pairs_above", {})
    print(f"{argv[2]}: {', '.join(f'{number} {what}' for what, number in counts.items())}")
    for level, number in pairs.items():
        print(f"pairs of correlation above {level}: {number}")


if __name__ == "__main__":
    command.run(main)
