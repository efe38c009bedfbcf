# %% [markdown]
# # Twins
#
# Two networks, trained on two sets of images that have not one image in common. Give both the same noise, and let
# each make an image of it. If they memorize, each makes one of its own training images, and the two differ. If they
# generalize, they have learnt one density, and make the same image.
#
# You will train two pairs of twins, on few and on many images of 16x16 pixels, and see their samples between the
# nearest training images. **2 minutes** on two CPU cores.

# %%
import gahr
from gahr.config import base

scale = "laptop"  # @param ["smoke", "laptop"]
few = 1  # @param {type:"slider", min:1, max:100}
many = 10_000  # @param {type:"integer"}
alpha = 3  # @param {type:"slider", min:1, max:5, step:0.5}
num_steps, num_samples, max_steps = dict(smoke=(3, 6, 20), laptop=(600, 16, 300))[scale]

# %%
config = base({"run": dict(name="calpha", alpha=alpha)}, scale="laptop")
run = config.runs.run
run.data.size, run.model.num_blocks, run.optim.num_steps = 16, 1, num_steps
run.objective.weighting = "inverse_sigma"  # large noise counts: there it is decided which image a sample becomes
sets = {f"n{number}_{subset}": dict(set_size=number, subset=subset) for number in (few, many) for subset in "ab"}
config.runs = {name: run.to_dict() | each for name, each in sets.items()}
sampler = dict(growing=True, sigma_stop=0.01, num_samples=num_samples, max_steps=max_steps, frame_every=5, num_bases=2)
config.study = dict(name="twins", analysis=sampler, marks={})
gahr.run(config, f"runs/twins-{few}-{many}-{alpha}-{scale}")

# %% [markdown]
# ## What to see
#
# - First rows: samples of networks a and b, one below the other, from the same noise. Above and below each, the
#   nearest image of its training set. With few images a sample is its neighbour, and its twin another image. With
#   many it is its twin's sample.
# - Samples of nulls: linear filters have twins as well, even more alike. But their samples are Gaussian fields
#   without contours. So being alike says nothing alone; being alike with contours does. The number is the kurtosis of
#   differences of neighbours over that of images, 1 where there are as many contours.
# - Histograms: similarity of twins, and of samples to the nearest training image.
#
# Try: few = 4, and 100; at which number do twins overtake neighbours?
