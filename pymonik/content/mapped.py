"""Files in memory, which do not keep a descriptor open each.

Python's `mmap` keeps one for as long as the memory is used (unless told otherwise, from 3.13 on). A
program that keeps a thousand arrays would have no descriptor left, at the usual limit of 1 024.
"""

from __future__ import annotations

import ctypes
import functools
import mmap
import os
import weakref
from typing import Any

# ``MAP_FAILED``: the answer of mmap where it could not map, since 0 is an address.
_FAILED = ctypes.c_void_p(-1).value


def mapped(fd: int, size: int) -> memoryview:
    """The content of a file, to be changed in memory only; the file may be closed.

    Args:
        fd: A file that can be read.
        size: Its bytes, more than zero.

    Raises:
        OSError: The system cannot map it.
    """
    system = _system()
    access, kind = mmap.PROT_READ | mmap.PROT_WRITE, mmap.MAP_PRIVATE
    address = system.mmap(None, size, access, kind, fd, 0)
    if address == _FAILED:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    memory = (ctypes.c_char * size).from_address(address)
    # The view and all that is made of it keep the array, and the array keeps the memory mapped.
    # At the end of the process the kernel unmaps everything; before that, other finalizers may
    # still read the memory.
    weakref.finalize(memory, system.munmap, address, size).atexit = False
    return memoryview(memory).cast("B")


@functools.cache
def _system() -> Any:
    library: Any = ctypes.CDLL(None, use_errno=True)
    # Without these types ctypes would pass and return C ints, which cut an address in half.
    library.mmap.restype = ctypes.c_void_p
    library.mmap.argtypes = [
        ctypes.c_void_p,
        ctypes.c_size_t,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_int,
        ctypes.c_long,
    ]
    library.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    return library
