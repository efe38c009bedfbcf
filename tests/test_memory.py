"""Memory settings change nothing but where freed memory goes."""

import subprocess
import sys

PROGRAM = """
import ctypes, hashlib, sys
from gahr.experiment import memory
if sys.argv[1] == "keep":
    memory.keep()
import jax, jax.numpy as jnp
from gahr.models.convolution import conv2d
images = jax.random.normal(jax.random.key(0), (8, 40, 40, 32))
kernel = jax.random.normal(jax.random.key(1), (3, 3, 32, 32))
step = jax.jit(jax.grad(lambda kernel: jnp.sum(conv2d(jnp.sin(conv2d(images, kernel)), kernel) ** 2)))
bits = hashlib.sha256(step(kernel).tobytes()).hexdigest()

class Mallinfo2(ctypes.Structure):
    _fields_ = [(name, ctypes.c_size_t) for name in ("arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks",
                                                     "fsmblks", "uordblks", "fordblks", "keepcost")]

held = "unknown"
libc = ctypes.CDLL(None)
if hasattr(libc, "mallinfo2"):  # glibc 2.33 or newer
    libc.mallinfo2.restype, libc.malloc.restype, libc.free.argtypes = Mallinfo2, ctypes.c_void_p, [ctypes.c_void_p]
    libc.malloc.argtypes = [ctypes.c_size_t]
    block = libc.malloc(2**28)  # above any threshold: mapped, and so returned when freed, unless that is forbidden
    mapped = libc.mallinfo2().hblkhd >= 2**28
    libc.free(block)
    held = "returned" if mapped or libc.mallinfo2().arena < 2**28 else "kept"
print(bits, held)
"""


def test_kept_memory_gives_the_same_bits_and_stays_in_the_process():
    outputs = {
        mode: subprocess.run([sys.executable, "-c", PROGRAM, mode], check=True, capture_output=True, text=True).stdout
        for mode in ("keep", "return")
    }
    bits, held = zip(*(output.split() for output in outputs.values()), strict=True)
    assert bits[0] == bits[1]
    assert held in (("kept", "returned"), ("unknown", "unknown"))
