"""Image sets: each module has `sample(key, *, size, ...) -> image (H, W, C)`."""

from gahr.data import calpha, disks, polygons, ray, shuffled, waves

SAMPLERS = {
    "calpha": calpha.sample,
    "disks": disks.sample,
    "polygons": polygons.sample,
    "ray": ray.sample,
    "shuffled": shuffled.sample,
    "waves": waves.sample,
}
