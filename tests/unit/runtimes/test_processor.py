"""Which processors add pairs of products in int16."""

import pytest

from qdiag.runtimes.processor import pairs_saturate_with


@pytest.mark.parametrize(
    ("flags", "saturates"),
    [
        ("fpu sse avx avx2 fma", True),
        ("avx2 avx512f avx512bw", True),
        ("avx2 avx512f avx512_vnni", False),
        ("avx2 avx_vnni", False),
    ],
)
def test_a_processor_without_dot_products_of_bytes(flags: str, saturates: bool) -> None:
    cpuinfo = f"processor\t: 0\nmodel name\t: some\nflags\t\t: {flags}\nbugs\t\t: none\n"
    assert pairs_saturate_with(cpuinfo) is saturates


def test_a_system_that_does_not_say_it() -> None:
    assert not pairs_saturate_with("processor : 0\nFeatures : fp asimd asimddp\n")
