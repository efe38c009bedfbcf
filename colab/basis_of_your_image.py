# %% [markdown]
# # The basis of your image
#
# A denoiser without biases does to a noisy image what a matrix does: $D(y) = J(y)\,y$. So it shrinks the image in a
# basis, and the matrix is another one at every image. Draw an image or upload one, see the basis of *that* image, and
# what happens when the image is put into the basis of another.
#
# You will see: leading vectors with contours of your image in them, how few of them make your image, and that as many
# vectors of another image do not. **50 seconds** on two CPU cores.

# %%
import gahr
from gahr.config import base
from gahr.data import files
from gahr.experiment import pictures

scale = "laptop"  # @param ["smoke", "laptop"]
picture = "drawing"  # @param ["drawing", "photograph", "upload"]
path = ""  # @param {type:"string"}
sigma = 0.15  # @param {type:"slider", min:0.02, max:0.5, step:0.01}
size, num_fit = dict(smoke=(16, 64), laptop=(24, 4_000))[scale]

# %% [markdown]
# ## Your image
#
# Change the drawing: a line is a row of pixels, and the characters go from white to black, a blank first, then
# `.:-=+*#%@`. Or choose "upload". Outside of Colab, write the name of an image file into `path`.

# %%
drawing = """
::::::::::::::::
::::::::::::::::
:::::::====:::::
::::::=######:::
:::::=#######=::
::::=##****##=::
::::##******##::
:::=##******##::
:::=##*****##=::
::::##****##=:::
::::=##**##=::::
:::::=####=:::::
::::::=##=::::::
::::::::::::::::
::::::::::::::::
::::::::::::::::
"""

# %%
if picture == "upload" and not path:
    from google.colab import files as colab  # of Colab alone

    path = next(iter(colab.upload()))
if picture == "drawing":
    path = "drawing.png"
    pictures.picture(files.drawn(drawing, size=size)).save(path)

# %% [markdown]
# ## Its basis
#
# The network `calpha3` came with gahr. It has learnt to denoise images that are smooth off a smooth contour, and has
# never seen yours.
#
# - First row: the image, with noise, denoised; then from the first sixteenth of its own vectors, and from as many of
#   another image's, here your image after a quarter turn.
# - Second row, left: the factors by which the basis is shrunk. Few are near 1. Middle: how fast the coefficients of
#   your image fall, in its own vectors and in another image's. Right: in how many coefficients an image stands out of
#   the noise.
# - Below: the vectors themselves.
#
# Thin grey lines are nulls. The best linear denoiser (dotted) has the same vectors at every image: going from "own"
# to "another's", its line is level. That of the network rises: its basis is made for the image at hand.

# %%
config = base({}, scale=scale, weights="calpha3")
analysis = dict(image=path or str(files.photograph()), size=size, sigma=sigma)
analysis |= dict(num_bases=2, num_fit=num_fit, num_memorized=0)
config.runs.calpha3.data.size = size  # of the images that the nulls are fitted to
config.study = dict(name="eigenbasis", analysis=analysis, marks=dict(swapped=1.5))
gahr.run(config, f"runs/basis_of_your_image-{scale}")

# %% [markdown]
# ## What the table says
#
# Look for *dimension in another's / own left singular vectors*. A fixed linear filter has 1, whatever its vectors
# look like. Most other lines do not tell a network from such a filter: both keep the energy of an image in few
# vectors, whose frequency rises.
#
# Try: a drawing with a corner, one with two shapes, noise of 0.05 and 0.4, a photograph. At which noise do the
# vectors lose the contour?
