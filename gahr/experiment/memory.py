"""Work space that stays with the process between compiled calls."""

import ctypes
import sys


def keep() -> None:
    """Make the C library keep freed memory, rather than return it to the system and fault it in again.

    On a CPU each call of a compiled function allocates its work space anew; handing large blocks back and forth
    costs tens of thousands of page faults a call. Call it before JAX starts its threads. The process then holds
    the most it ever used. No effect on results, nor where the C library is not glibc.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None) if sys.platform == "linux" else None
    if mallopt is None:
        return
    no_limit = 2**31 - 1
    for option, value in {-4: 0, -1: no_limit, -8: 1}.items():  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX
        mallopt(option, value)
