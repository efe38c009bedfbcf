"""Memory settings change nothing but the speed."""

import subprocess
import sys

PROGRAM = """
import sys
from gahr import memory
if sys.argv[1] == "keep":
    memory.keep()
import jax, jax.numpy as jnp, hashlib, resource
from gahr.models.convolution import conv2d
images = jax.random.normal(jax.random.key(0), (8, 40, 40, 32))
kernel = jax.random.normal(jax.random.key(1), (3, 3, 32, 32))
step = jax.jit(jax.grad(lambda kernel: jnp.sum(conv2d(jnp.sin(conv2d(images, kernel)), kernel) ** 2)))
for _ in range(3):  # the first calls fill what is kept
    step(kernel).block_until_ready()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    out = step(kernel).block_until_ready()
print(hashlib.sha256(out.tobytes()).hexdigest(), resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def test_kept_memory_gives_the_same_bits_with_fewer_page_faults():
    outputs = {
        mode: subprocess.run([sys.executable, "-c", PROGRAM, mode], check=True, capture_output=True, text=True).stdout
        for mode in ("keep", "return")
    }
    bits, faults = zip(*(output.split() for output in outputs.values()), strict=True)
    assert bits[0] == bits[1]
    if sys.platform == "linux":
        assert int(faults[0]) < int(faults[1])
