"""Epochs without replacement: every image equally often in each, in orders that are random and repeatable."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from conftest import get_config
from jax.tree_util import Partial

from gahr import training
from gahr.data import epochs
from gahr.experiment import build
from gahr.models.unet import UNet

KEY = jax.random.key(3)


def drawn(steps, *, key=KEY, **options):
    """Image numbers of the first steps, one after the other; set_size is traced, as in training."""
    batch, number = options.pop("batch_size"), np.int32(options.pop("set_size"))
    each = lambda step, size: epochs.numbers(key, step, batch_size=batch, set_size=size, **options)
    return np.ravel(jax.jit(jax.vmap(each, (0, None)))(np.arange(steps, dtype=np.int32), number)).astype(int)


@pytest.mark.parametrize(
    ("set_size", "least", "length"),
    [(10, 25, 20), (7, 7, 7), (33, 5, 33), (1, 6, 6), (1, 1, 1), (64, 1, 64)],  # of an epoch, whole copies of the set
)
def test_an_epoch_holds_every_image_equally_often_and_batches_go_on_across_its_end(set_size, least, length):
    found = drawn(6 * length, batch_size=5, set_size=set_size, least=least)[: 20 * length].reshape(20, length)
    for each in found:
        np.testing.assert_array_equal(np.bincount(each, minlength=set_size), length // set_size)
    if set_size > 5:
        assert len({tuple(each) for each in found}) == 20
        other = drawn(1, key=jax.random.key(4), batch_size=length, set_size=set_size, least=least)
        assert not np.array_equal(found[0], other)


def test_orders_are_uniform():
    length, number = 6, 12_000
    found = drawn(1, batch_size=length * number, set_size=length, least=length).reshape(number, length)
    for place in range(length):
        counts = np.bincount(found[:, place], minlength=length)
        assert np.sum((counts - number / length) ** 2) / (number / length) < 20.5  # chi-square of 5, at 0.1 %
    follows = np.bincount((found[:, 1] - found[:, 0]) % length, minlength=length)[1:]
    assert np.sum((follows - number / 5) ** 2) / (number / 5) < 18.5  # of 4


@pytest.mark.parametrize("order", ["epochs", "independent"])
def test_a_training_step_takes_the_images_of_its_order(order):
    """The loss of a step is the number of its one image."""
    recipe = training.OPTIMIZERS["adam"](batch_size=1, num_steps=30, order=order)
    state = training.init_state({"params": {"weight": jnp.zeros(())}}, recipe.optimizer)
    take = Partial(lambda index, *, subset, set_size: index.reshape(-1, 1, 1, 1).astype(jnp.float32))
    value = lambda network, variables, key, clean, *, teacher: (clean.sum() + 0 * variables["params"]["weight"], {})
    options = dict(model=UNet(), recipe=recipe, subset="a")
    step = jax.jit(functools.partial(build._train_step, take, np.int32(1000), Partial(value), None, **options))
    seen = []
    for _ in range(30):
        state, metrics = step(state, KEY)
        seen.append(int(metrics["loss"]))
    own = jax.random.fold_in(KEY, 2**32 - 2)
    expected = [int(epochs.numbers(own, np.int32(t), batch_size=1, set_size=np.int32(1000))[0]) for t in range(30)]
    assert (seen == expected) is (order == "epochs")
    assert len(set(seen)) > 20


def test_an_unknown_order_is_refused():
    run = get_config("scale=smoke").runs.alpha3.to_dict()
    run["optim"] |= dict(order="epoch")
    with pytest.raises(ValueError, match=r"optim: unknown order 'epoch'; did you mean epochs"):
        build.build(run, "run", seed=0)


def test_the_papers_scale_trains_by_epochs():
    assert get_config("scale=paper").runs.alpha3.optim.order == "epochs"
    assert "order" not in get_config("scale=laptop").runs.alpha3.optim
