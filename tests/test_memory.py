"""Memory settings change nothing but where freed memory goes."""

import hashlib

import jax
import jax.numpy as jnp
from conftest import python

from gahr.models.convolution import conv2d

PROGRAM = """
import ctypes
from gahr.experiment import memory

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks",
                                                     "fsmblks", "uordblks", "fordblks", "keepcost")]

def held():
    libc = ctypes.CDLL(None)
    if not hasattr(libc, "mallinfo2"):  # glibc 2.33 or newer has it
        return "unknown"
    libc.mallinfo2.restype, libc.malloc.restype, libc.free.argtypes = Mallinfo2, ctypes.c_void_p, [ctypes.c_void_p]
    libc.malloc.argtypes = [ctypes.c_size_t]
    block = libc.malloc(2**28)  # above any threshold: mapped, and so returned when freed, unless that is forbidden
    mapped = libc.mallinfo2().hblkhd >= 2**28
    libc.free(block)
    return "returned" if mapped or libc.mallinfo2().arena < 2**28 else "kept"

before = held()
memory.keep()
from test_memory import bits
print(bits(), before, held())
"""


def bits():
    """Hash of the gradient of two convolutions."""
    images = jax.random.normal(jax.random.key(0), (8, 40, 40, 32))
    kernel = jax.random.normal(jax.random.key(1), (3, 3, 32, 32))
    step = jax.jit(jax.grad(lambda kernel: jnp.sum(conv2d(jnp.sin(conv2d(images, kernel)), kernel) ** 2)))
    return hashlib.sha256(step(kernel).tobytes()).hexdigest()


def test_kept_memory_gives_the_same_bits_and_stays_in_the_process():
    done = python("-c", PROGRAM)
    held = (["returned", "kept"], ["unknown", "unknown"])
    assert done.stdout.split() in [[bits(), *states] for states in held], done.stderr
