"""The sweep on disks: a denoiser that projects on the tangent space, a linear one, and the command at smoke scale."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
from conftest import get_config, met
from jax.tree_util import Partial

from gahr import experiment
from gahr.data import disks
from gahr.experiment.progress import Progress
from gahr.studies.shared.study import Run
from gahr.studies.tangents import STUDY

SIZE, RAMP, KEY = 9, 2.0, jax.random.key(0)


def images(subset, number):
    keys = jax.random.split(jax.random.key(len(subset)), number)
    return jax.vmap(functools.partial(disks.sample, size=SIZE, ramp=RAMP))(keys)


def projection(parameters, noisy, sigma):
    """On the tangents of that disk, among those known, whose image is nearest."""
    clean = jax.vmap(functools.partial(disks.render, size=SIZE, ramp=RAMP))(parameters)
    tangents = jax.vmap(functools.partial(disks.tangents, size=SIZE, ramp=RAMP))(parameters)
    spaces = jax.vmap(lambda each: jnp.linalg.qr(each.reshape(5, -1).T)[0])(tangents)  # (n, d, 5)

    def one(image):
        basis = spaces[jnp.argmin(jnp.sum((clean - image[None]) ** 2, (1, 2, 3)))]
        return (basis @ (basis.T @ image.ravel())).reshape(image.shape)

    return jax.vmap(one)(noisy.reshape(-1, SIZE, SIZE, 1)).reshape(noisy.shape)


def shrunk(noisy, sigma):
    """Blind to what an image shows."""
    return 0.5 * noisy


def test_the_projection_has_all_of_the_tangent_space_and_a_multiple_of_the_image_none():
    """Tangents of another disk or of another edge, and stages out of order, are seen."""
    disk_key = jax.random.fold_in(KEY, 0)  # as the study draws them
    known = jax.vmap(functools.partial(disks.draw, size=SIZE))(jax.random.split(disk_key, 2))
    stages = {20: lambda: Partial(projection, known), 10: lambda: Partial(shrunk)}
    run = Run(None, stages[20](), images, {"size": SIZE, "ramp": RAMP}, initial=Partial(shrunk), stages=stages)
    arrays = STUDY.analyze(num_disks=2, num_images=2, num_fit=64)({"edge": run}, KEY, progress=Progress())
    assert arrays["edge/images"].tolist() == [0, 10, 20]
    for kind in ("eigen", "left"):
        np.testing.assert_allclose(arrays[f"edge/{kind}"][2], 1, atol=1e-4)
        assert arrays[f"edge/{kind}"][:2].max() < 0.7
    assert "edge/exact" not in arrays  # the exact posterior is that of an edge of one pixel
    check = next(check for check in STUDY.check(arrays, overlap=0.9) if check.met is not None)
    assert check.finding
    assert not {"linear", "untrained"} & set(check.met_by)


def test_smoke_run_end_to_end(tmp_path):
    made = get_config("vary=edge,scale=smoke", file="tangents")
    for run in made.runs.values():
        run.data.size = SIZE // 2 * 2
    experiment.train(made, tmp_path)
    checks = experiment.study(made, tmp_path)
    assert (tmp_path / "figures" / "tangents.png").exists()
    assert not met(checks)
    assert [check.name for check in checks if "below" in check.name] == [
        "plain: output PSNR below the exact posterior's, sigma = 0.1, dB"
    ]
    with np.load(tmp_path / "study.npz") as arrays:
        assert arrays["edge/images"].tolist() == [0, 8, 16, 40, 80, 160]  # eight images a step
        assert arrays["edge/left"].shape == (6, 2)
