"""Saving: checkpoints of a TrainState (Orbax) and finished denoisers as plain arrays (safetensors)."""

import contextlib
import json
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from flax.traverse_util import flatten_dict, unflatten_dict
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, CustomSteps, LatestN
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gahr.training import TrainState
from gahr.types import PyTree

_FORMAT_VERSION = 1


class Checkpoints:
    """Checkpoints `directory/STEP` of one run: the newest few are kept, and those of some steps for good.

    A save is complete or absent: Orbax writes beside the final name and renames. Saving waits until the files
    are written, because the training step reuses the memory of the state.
    """

    def __init__(self, directory: Path, *, keep: int = 2, always: Sequence[int] = (), read_only: bool = False):
        logging.getLogger("absl").setLevel(logging.ERROR)  # Orbax reports every save
        options = ocp.CheckpointManagerOptions(
            preservation_policy=AnyPreservationPolicy([LatestN(keep), CustomSteps(always)]),
            enable_async_checkpointing=False,
            cleanup_tmp_directories=not read_only,
            create=not read_only,
            read_only=read_only,
        )
        self.directory = Path(directory).absolute()  # a relative one fails in Orbax's threads
        self._manager = ocp.CheckpointManager(self.directory, options=options)

    def steps(self) -> list[int]:
        """Steps that have a checkpoint, ascending."""
        return sorted(self._manager.all_steps())

    def save(self, state: PyTree, step: int) -> None:
        """Write the state; a checkpoint of the same step is left as it is."""
        if step not in self._manager.all_steps():
            self._manager.save(step, args=ocp.args.StandardSave(state), force=True)

    def restore(self, like: PyTree, step: int) -> PyTree:
        """State of `step` with the shapes and shardings of `like`.

        Raises:
          ValueError: the files are missing, truncated or of other shapes.
        """
        target = jax.tree.map(ocp.utils.to_shape_dtype_struct, like)
        with self._readable(step):
            return self._manager.restore(step, args=ocp.args.StandardRestore(target))

    @contextlib.contextmanager
    def _readable(self, step: int) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # Orbax and its storage layer raise many types for a damaged file
            raise ValueError(f"checkpoint {self.directory / str(step)} cannot be read: {error}") from error

    def restore_alone(self, step: int) -> TrainState:
        """State of `step` with plain arrays, for who knows neither its shapes nor the optimizer.

        Raises:
          ValueError: as `restore`.
        """
        directory = self.directory / str(step) / "default"
        with self._readable(step), ocp.PyTreeCheckpointer() as reader:
            stored = reader.metadata(directory).item_metadata.tree
            plain = jax.tree.map(lambda _: ocp.RestoreArgs(restore_type=np.ndarray), stored)
            return TrainState(**reader.restore(directory, restore_args=plain))

    def restore_newest(self, like: PyTree) -> tuple[PyTree | None, list[str]]:
        """Newest state that can be read, and a line about each newer one that could not.

        Damaged checkpoints are deleted, so that training can write them again. The state is None where no
        checkpoint was ever written.

        Raises:
          ValueError: there are checkpoints, and none of them can be read.
        """
        warnings = []
        for step in reversed(self.steps()):
            try:
                state = self.restore(like, step)
            except ValueError as error:
                warnings.append(str(error).splitlines()[0][:300])
                continue
            for damaged in [s for s in self.steps() if s > step]:
                self._manager.delete(damaged)
            return state, warnings
        if warnings:
            raise ValueError(f"{warnings[0]}; no earlier one is readable; remove {self.directory} to start again")
        return None, []

    def close(self) -> None:
        """Release Orbax's threads."""
        self._manager.close()


def export_arrays(variables: PyTree, description: dict) -> bytes:
    """Content of a safetensors file that names variables plainly, such as "params/output_conv/kernel".

    Args:
      variables: nested dictionary of arrays.
      description: what the arrays are (JSON values), stored in the file's header.

    Returns:
      The bytes to write; `import_arrays` reads the file.
    """
    arrays = {name: np.asarray(leaf, order="C") for name, leaf in flatten_dict(variables, sep="/").items()}
    header = json.dumps({"version": _FORMAT_VERSION, **description})
    return save(arrays, metadata={"gahr": header})  # one entry: several come in an order that varies


def import_arrays(path: Path) -> tuple[PyTree, dict]:
    """Variables and description from a file of `export_arrays`.

    Raises:
      ValueError: the file is damaged, not one of ours, or of a newer version.
    """
    try:
        with safe_open(path, framework="numpy") as file:
            description = json.loads((file.metadata() or {}).get("gahr", "{}"))
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, a handle, no dictionary
    except (SafetensorError, ValueError) as error:
        raise ValueError(f"{path} cannot be read: {error}") from error
    if description.get("version") != _FORMAT_VERSION:
        raise ValueError(f"{path} is not a gahr denoiser of format version {_FORMAT_VERSION}")
    return unflatten_dict({name: jax.numpy.asarray(array) for name, array in arrays.items()}, sep="/"), description
