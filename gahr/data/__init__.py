"""Image sets: each module has `sample(key, *, size, ...) -> image (H, W, C)`."""

from gahr.data import calpha

SAMPLERS = {"calpha": calpha.sample}
