"""Makes networks that come with gahr: of each finished run RUN.safetensors, and RUN.json about it.

    python launch/ship.py runs/shipped     # all, into gahr/pretrained
    python launch/ship.py runs/shipped --run=calpha3 --out=networks      # for weights=networks/calpha3.safetensors
    python launch/ship.py runs/consistency --prefix=calpha3_     # calpha3_teacher and calpha3_student

Kernels are float16 where that costs less than 0.005 dB; the JSON holds what `gahr.pretrained.describe` says.
"""

from pathlib import Path

from absl import flags, logging

from gahr.experiment import command

FLAGS = flags.FLAGS
_RUN = flags.DEFINE_string("run", None, "Run of the directory; left out, all that are finished.")
_PREFIX = flags.DEFINE_string("prefix", "", "Put before the run's name in those of the files, as in calpha3_student.")
_OUT = flags.DEFINE_string("out", "gahr/pretrained", "Folder of the files.")
_DEBUG = flags.DEFINE_bool("debug", False, "Show the stack trace of an error.")


def main(argv: list[str]) -> None:
    if len(argv) != 2:
        raise ValueError(f"one run directory is needed, not {len(argv) - 1}; see --help")
    logging.set_verbosity(logging.WARNING)
    from gahr.experiment import storage
    from gahr.experiment.planning import finished
    from gahr.experiment.ship import ship

    workdir = Path(argv[1])
    names = storage.read_config(workdir)["config"]["runs"]
    runs = [_RUN.value] if _RUN.value else [name for name in names if finished(workdir, name)]
    if not runs:
        raise ValueError(f"{workdir} holds no finished run")
    for run in runs:
        psnr = ship(workdir, Path(_OUT.value), run=run, prefix=_PREFIX.value)["psnr"]
        levels = ", ".join(f"{db:.2f} at {sigma:g}" for db, sigma in zip(psnr["test"], psnr["sigmas"], strict=True))
        print(f"{run}: test PSNR {levels}; float16 costs at most {psnr['float16_loss']:.4f} dB")


if __name__ == "__main__":
    command.run(main)
