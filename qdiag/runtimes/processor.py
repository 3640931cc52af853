"""What the processor of this machine does to the sums of integer kernels."""

import platform
from functools import cache
from pathlib import Path

_CPUINFO = Path("/proc/cpuinfo")
_DOT_PRODUCTS = frozenset(("avx512_vnni", "avx_vnni"))
"""Instructions that add four products in int32 at once."""


@cache
def saturates_pairs() -> bool:
    """It adds pairs of products of unsigned and signed bytes in int16, as x86 processors without VNNI do.

    False where the system does not say what its processor has.
    """
    if platform.machine().lower() not in ("x86_64", "amd64") or not _CPUINFO.is_file():
        return False
    return pairs_saturate_with(_CPUINFO.read_text(errors="replace"))


def pairs_saturate_with(cpuinfo: str) -> bool:
    """The same of an x86 processor, by what Linux says of it in `/proc/cpuinfo`."""
    flags = next((line for line in cpuinfo.splitlines() if line.startswith("flags")), "").split()
    return bool(flags) and not _DOT_PRODUCTS & set(flags)
