"""Memory that was freed between blocks in use goes back to the system."""

import platform
from pathlib import Path

import numpy as np
import pytest

from qdiag.simulate.surroundings import return_freed_memory

_PAGE_BYTES = 4096


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * _PAGE_BYTES


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc keeps what was freed")
def test_gaps_between_blocks_in_use_are_given_back() -> None:
    blocks = [np.ones(100_000, dtype=np.uint8) for _ in range(600)]
    kept = blocks[::2]
    del blocks
    before = _resident_bytes()
    return_freed_memory()
    assert before - _resident_bytes() > 20_000_000
    assert all(block.min() == 1 for block in kept)
