"""Image sets: factories (key, *, options) -> Dataset; a set that is made is a module with sample(key, *, options)."""

from gahr.data import calpha, disks, files, modes, polygons, ray, shuffled, waves
from gahr.data.dataset import synthetic

DATASETS = {
    "calpha": synthetic(calpha.sample),
    "disks": synthetic(disks.sample),
    "file": files.dataset,
    "modes": synthetic(modes.sample),
    "polygons": synthetic(polygons.sample),
    "ray": synthetic(ray.sample),
    "shuffled": synthetic(shuffled.sample),
    "waves": synthetic(waves.sample),
}
