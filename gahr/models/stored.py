"""Networks as plain arrays in one file (safetensors), which says what they are."""

import json
from pathlib import Path

import jax.numpy as jnp
import numpy as np
from flax.traverse_util import flatten_dict, unflatten_dict
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from gahr.types import PyTree

_FORMAT_VERSION = 1


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
    """Variables, float32, and description from a file of `export_arrays`.

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
    arrays = {name: jnp.asarray(array, jnp.float32) for name, array in arrays.items()}
    return unflatten_dict(arrays, sep="/"), description
