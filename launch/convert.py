"""Converts a published network (PyTorch weights) to a run directory, or a trained network to published weights.

    python launch/convert.py weights.pt runs/published          # .npz, .safetensors, or a file of torch.save
    python launch/convert.py runs/calpha-alpha=3 weights.safetensors

A converted directory is one of `gahr.experiment.load_denoiser`. PyTorch is not needed, and nothing stored in the
file is run.
"""

from pathlib import Path

from absl import flags, logging

from gahr.experiment import command

FLAGS = flags.FLAGS
_RUN = flags.DEFINE_string("run", None, "Run of the directory to convert, where it holds several.")
_FIRST_RELU = flags.DEFINE_bool(
    "first_relu", None, "A BF-CNN's first convolution has a ReLU, or not; left out, told from the names of its arrays."
)
_DEBUG = flags.DEFINE_bool("debug", False, "Show the stack trace of an error.")
_NAME = "published"


def _to_run_directory(source: Path, workdir: Path) -> None:
    from gahr.experiment import storage
    from gahr.experiment.build import section_of
    from gahr.models import published
    from gahr.models.stored import export_arrays

    model, variables = published.load(source, first_relu=_FIRST_RELU.value)
    section = section_of(model)
    origin = {"file": source.name, "sha256": storage.digest(source)}
    storage.claim(workdir, {"source": origin, "runs": {_NAME: {"model": section}}})
    (workdir / _NAME).mkdir(exist_ok=True)
    weights = export_arrays(variables, {"model": section, "source": origin})
    storage.write_whole(workdir / _NAME / "denoiser.safetensors", lambda file: file.write(weights))
    options = ", ".join(f"{name}={value}" for name, value in section.items() if name != "name")
    print(f"{workdir}: {section['name']} with {options}")


def _to_published(source: Path, path: Path) -> None:
    from safetensors.numpy import save

    from gahr import experiment
    from gahr.experiment import storage
    from gahr.models import published

    if path.suffix != ".safetensors":
        raise ValueError(f"{source} is a directory, so the output must be a .safetensors file, not {path}")
    if path.exists():
        raise ValueError(f"{path} exists; give another name")
    weights = save(published.export(*experiment.load_network(source, run=_RUN.value)))
    storage.write_whole(path, lambda file: file.write(weights))
    print(path)


def main(argv: list[str]) -> None:
    if len(argv) != 3:
        raise ValueError(f"two paths are needed, source and destination, not {len(argv) - 1}; see --help")
    logging.set_verbosity(logging.WARNING)
    source, destination = map(Path, argv[1:])
    if source.is_dir():
        if _FIRST_RELU.value is not None:
            raise ValueError("--first_relu is for published weights, not for a run directory")
        _to_published(source, destination)
    else:
        if _RUN.value is not None:
            raise ValueError("--run is for run directories, not for published weights")
        _to_run_directory(source, destination)


if __name__ == "__main__":
    command.run(main)
