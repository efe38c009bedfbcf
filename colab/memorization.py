# %% [markdown]
# # From memorization to generalization
#
# Train a network on a few images, and it learns these images. Train it on many, and it learns what they have in
# common. Theory says of a network that memorizes: on its own images its PSNR rises with slope 1, on others it hardly
# rises. Of one that generalizes: both curves are one, and it agrees with a network that was trained on other images.
#
# You will train four small networks: two sets of few images, and two sets of many, 16x16 pixels. **110 seconds** on
# two CPU cores, most of them training.

# %%
import gahr
from gahr.config import base

scale = "laptop"  # @param ["smoke", "laptop"]
few = 4  # @param {type:"slider", min:1, max:100}
many = 10_000  # @param {type:"integer"}
alpha = 3  # @param {type:"slider", min:1, max:5, step:0.5}
num_steps, num_images = dict(smoke=(3, 4), laptop=(1_500, 32))[scale]

# %% [markdown]
# ## Train and measure
#
# Every network has the same shape, the same number of steps, and noise of its own. The bar says how far the training
# is.

# %%
config = base({"run": dict(name="calpha", alpha=alpha)}, scale="laptop")
run = config.runs.run
run.data.size, run.model.num_blocks, run.optim.num_steps = 16, 1, num_steps
run.objective.weighting = "inverse_sigma"  # large noise counts: there it is decided which image a sample becomes
sets = {f"n{number}_{subset}": dict(set_size=number, subset=subset) for number in (few, many) for subset in "ab"}
config.runs = {name: run.to_dict() | each for name, each in sets.items()}
config.study = dict(name="transition", analysis=dict(num_images=num_images, num_levels=8), marks={})
gahr.run(config, f"runs/memorization-{few}-{many}-{alpha}-{scale}")

# %% [markdown]
# ## What to see
#
# - Training images, left: the network of few images rises steeply, near slope 1, as theory has it.
# - Test images, right: the same network hardly gets better when there is less noise. The one of many images has the
#   same curve on both sides.
# - The exact denoiser of the training images (dotted) has such a gap at any number: it is the best there is on the
#   images that it holds, and of no use beside them. Networks of many images are far from it, and near their twin
#   (below, right).
# - The linear denoiser of the same images (grey) is the null: its gap closes as well. So a gap that closes is no sign
#   yet of having understood images. How far is the network above it on test images? After this short training hardly:
#   see the line *test PSNR above the linear denoiser*. `configs/memorization.py` trains longer, on 20x20 images, and
#   gains 1.3 dB.
#
# Next: [twins](twins.ipynb), samples of two such networks from the same noise.
