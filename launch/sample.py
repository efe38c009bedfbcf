"""Draws images from a trained network, or restores one image of which little is known with the network as prior.

    python launch/sample.py runs/calpha-alpha=3 samples.png --number=64 --set=growing=true
    python launch/sample.py calpha3 samples.npz --sampler=heun --set=num_levels=40 --animate=path.gif
    python launch/sample.py weights.npz samples/ --size=64 --sampler=ddim --schedule=geometric --set=sigma_max=0.4
    python launch/sample.py calpha3 restored.png --image=photo.jpg --measurement=random_pixels --set=fraction=0.2

The network is a run directory, the name of one that comes with gahr, or a file of published weights. The output is a
grid (NAME.png), a folder of pictures (NAME), or arrays as they are (NAME.npz). --set gives options of the sampler, of
the schedule of its noise levels (image units) and of the measurement; a wrong one says which there are. Stopped or
killed, the same command goes on, and gives the same images. Image i does not depend on how many others there are.
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

from pathlib import Path  # noqa: E402

from absl import flags, logging  # noqa: E402

from gahr.experiment import command, memory  # noqa: E402

FLAGS = flags.FLAGS
_RUN = flags.DEFINE_string("run", None, "Run of the directory, where it holds several.")
_STEP = flags.DEFINE_integer("step", None, "Checkpoint of the run; left out, the finished network or the newest.", 0)
_NUMBER = flags.DEFINE_integer("number", 16, "How many images.", 1)
_SEED = flags.DEFINE_integer("seed", 0, "Of the images.", 0)
_SIZE = flags.DEFINE_integer("size", None, "Side of the images; needed for published weights.", 1)
_SAMPLER = flags.DEFINE_string(
    "sampler",
    None,
    "blind, for networks that are not told the noise level, and the default for them; annealed_langevin, langevin, "
    "reverse_diffusion, ancestral, ddpm, ddim, euler, heun (the default for networks that are told), multistep, edm.",
)
_SCHEDULE = flags.DEFINE_string(
    "schedule", None, "Levels of the sampler: geometric, linear, karras or ddpm; left out, as its publication has it."
)
_SET = flags.DEFINE_multi_string(
    "set", [], "OPTION=VALUE of the sampler or schedule, such as beta=0.5 or num_levels=40; repeat it for several. "
    "sigmas=1,0.3,0.1,0 gives the levels themselves."
)  # fmt: skip
_FIT = flags.DEFINE_integer(
    "fit", None, "Training images whose mean and covariance the start has beside the noise; 0 for the sampler's mean "
    "alone. Left out, 1000 where the images are known, and 0 where the blind sampler restores an image.", 0
)  # fmt: skip
_IMAGE = flags.DEFINE_string("image", None, "Image file to restore; it stands first in the output.")
_MEASUREMENT = flags.DEFINE_string(
    "measurement", None, "What is known of it: hole, random_pixels, block_means, low_pass, random_basis or nothing."
)
_SIGMA_OBSERVED = flags.DEFINE_float("sigma_observed", 0.0, "Level of the noise added to what is known.", 0.0)
_DENOISE = flags.DEFINE_bool("denoise", True, "Denoise the images at the end.")
_ANIMATE = flags.DEFINE_string("animate", None, "File of the path to the first 16: NAME.gif, or NAME.apng.")
_CHUNK = flags.DEFINE_integer("chunk", 16, "Images drawn and kept at a time, at most.", 1)
_PROGRESS = flags.DEFINE_enum("progress", "auto", ["auto", "plain", "off"], "Bars, plain lines, or nothing.")
_DEBUG = flags.DEFINE_bool("debug", False, "Show the stack trace of an error.")


def main(argv: list[str]) -> None:
    if len(argv) != 3:
        raise ValueError(f"a network and an output are needed, not {len(argv) - 1} names; see --help")
    logging.set_verbosity(logging.WARNING)
    memory.keep()
    command.use_compile_cache()
    from gahr.experiment import sampling
    from gahr.experiment.progress import Progress

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    options = dict(run=_RUN.value, step=_STEP.value, number=_NUMBER.value, seed=_SEED.value, size=_SIZE.value)
    options |= dict(sampler=_SAMPLER.value, schedule=_SCHEDULE.value, given=_SET.value, fit=_FIT.value)
    options |= dict(image=_IMAGE.value, measurement=_MEASUREMENT.value, sigma_observed=_SIGMA_OBSERVED.value)
    options |= dict(final_denoise=_DENOISE.value, animation=_ANIMATE.value, chunk=_CHUNK.value)
    try:
        with Progress(_PROGRESS.value) as progress:
            print(sampling.draw_to(argv[1], Path(argv[2]), **options, progress=progress))
    except KeyboardInterrupt:
        print(_STOPPED, file=sys.stderr)


if __name__ == "__main__":
    command.run(main)
