# %% [markdown]
# # All devices at once
#
# The eight cores of a TPU, the GPUs of a machine: every batch is cut into as many parts as there are devices, each
# does its own, and the gradients are summed. The batch in the config is that of all devices together, so that the
# same config gives the same network on one device and on eight, up to rounding.
#
# You will see: where the parts of a batch are, that the answer is the same, and a training that uses all. **20
# seconds** on two CPU cores, where there is one device; set `virtual` to 8 to cut the CPU into eight, for a look
# (before anything else runs, so restart first).

# %%
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import gahr
from gahr import experiment
from gahr.config import base, calpha
from gahr.data import calpha as images_of
from gahr.experiment import hosts, storage
from gahr.experiment.progress import Progress

scale = "laptop"  # @param ["smoke", "laptop"]
virtual = 0  # @param {type:"integer"}
if virtual:
    jax.config.update("jax_num_cpu_devices", virtual)
print(f"{jax.device_count()} devices: {jax.devices()}")

# %% [markdown]
# ## A batch on all devices
#
# `hosts.spread()` says: the first axis over all devices. JAX does the rest: the network runs where its images are,
# and nothing else is written differently.

# %%
denoiser, number = gahr.load("calpha3"), 8 * jax.device_count()
keys = jax.random.split(jax.random.key(0), number)
batch = jax.jit(jax.vmap(lambda key: images_of.sample(key, size=16, alpha=3.0)))(keys)
spread, network = jax.device_put(batch, hosts.spread()), hosts.replicated(denoiser)
for shard in spread.addressable_shards:
    print(f"images {shard.index[0].start or 0} and on: {shard.device}")
together, alone = jax.jit(lambda network, images: network(images))(network, spread), jax.jit(denoiser)(batch[:8])
print("largest difference to one device:", float(jnp.abs(np.asarray(together)[:8] - np.asarray(alone)).max()))

# %% [markdown]
# ## A training
#
# Nothing in the config says how many devices there are. Statistics of batch normalisation are those of the whole
# batch. Each device makes its share of the images itself. Draws belong to images, not to devices, so that they are
# the same everywhere; `tests/sharded/` holds loss and gradients on one, two and eight devices against each other.

# %%
config = base(calpha([3.0]), scale="smoke")
optim = config.runs.alpha3.optim
optim.batch_size, optim.num_steps = 8 * jax.device_count(), dict(smoke=3, laptop=300)[scale]
config.study = dict(name="slopes", analysis={}, marks={})  # of gahr.run, which would draw it as well
workdir = Path(f"runs/devices-{jax.device_count()}-{scale}")
with Progress("auto") as progress:
    experiment.train(config, workdir, progress=progress)

# %%
for record in storage.json_lines(workdir / "alpha3" / "metrics.jsonl"):
    print("step {step}: {images_per_second:.0f} images a second, loss {loss:.1f}".format(**record))

# %% [markdown]
# A few hundred steps do not make a good network; take more steps, `scale="laptop"` in `base`, or on a TPU `"gpu"`,
# and an hour. Several machines: `launch/main.py --distributed`.
