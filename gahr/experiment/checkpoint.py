"""Checkpoints of a TrainState (Orbax)."""

import contextlib
import logging
from collections.abc import Iterator, Sequence
from pathlib import Path

import jax
import numpy as np
import orbax.checkpoint as ocp
from orbax.checkpoint.checkpoint_managers import AnyPreservationPolicy, CustomSteps, LatestN

from gahr.training import TrainState
from gahr.types import PyTree


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
