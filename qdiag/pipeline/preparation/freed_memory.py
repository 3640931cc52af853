"""Memory that was freed, handed back to the system."""

import ctypes
import platform


def return_freed_memory() -> None:
    """Hands back what the allocator keeps for later; without glibc it does nothing.

    Capturing a graph leaves many small objects that live on, and between them holes in which the large tensors of the
    passes find no place. Handed back, the holes cost nothing: MobileNetV2 at 16 images a batch then needs 790 MB rather
    than 880. It takes milliseconds, and is worth its time between stages, not within a pass.
    """
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).malloc_trim(0)
