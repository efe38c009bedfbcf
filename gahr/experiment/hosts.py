"""The devices of all processes as one mesh, and what processes agree upon."""

import functools
import itertools
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import AxisType, NamedSharding, PartitionSpec

from gahr.types import Array, PyTree, Sharding


def is_first() -> bool:
    """Whether this process is the one that writes and shows."""
    return jax.process_index() == 0


@functools.cache
def _mesh() -> jax.sharding.Mesh:
    return jax.make_mesh((jax.device_count(),), ("data",), axis_types=(AxisType.Auto,))


def spread() -> Sharding:
    """The first axis over the devices of all processes."""
    return NamedSharding(_mesh(), PartitionSpec("data"))


def replicated(tree: PyTree) -> PyTree:
    """Arrays, the same in every process, on all devices."""
    everywhere = NamedSharding(_mesh(), PartitionSpec())
    if jax.process_count() == 1:
        return jax.device_put(tree, everywhere)

    def place(leaf: Array) -> Array:
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            return jax.random.wrap_key_data(place(jax.random.key_data(leaf)), impl=jax.random.key_impl(leaf))
        return jax.make_array_from_process_local_data(everywhere, np.asarray(leaf))

    return jax.tree.map(place, tree)


def by_share(function: Callable[[Array], Array], rows: Array) -> Array:
    """function(rows), to whose every row belongs one of the result, each device computing those of its share."""
    if jax.device_count() == 1:
        return function(rows)
    share = PartitionSpec("data")  # left to the compiler, every device would do a Fourier transform of all rows
    return jax.shard_map(function, mesh=_mesh(), in_specs=share, out_specs=share)(rows)


def agree(value: float) -> float:
    """The first process's value, in all."""
    return float(multihost_utils.broadcast_one_to_all(np.float32(value)))


_asked = itertools.count()  # as often in each process; steps begin anew with every run, and would not do


def stop_agreed(requested: bool) -> bool:
    """Whether to stop after this step: as asked for here, or on several hosts where all agree on it.

    Each must ask at every step. There, SIGTERM to any of the processes is the request, which JAX's own handler hears.
    """
    return multihost_utils.reached_preemption_sync_point(next(_asked)) if jax.process_count() > 1 else requested


def wait(name: str) -> None:
    """Until all processes are here."""
    multihost_utils.sync_global_devices(name)
