"""Samples packed into bits and back."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from qdiag.core.measures.outcomes import pack_bits, unpack_bits
from qdiag.core.measures.task import PairedCounts


@given(st.lists(st.booleans(), max_size=70))
def test_the_round_trip_is_exact(values: list[bool]) -> None:
    bits = unpack_bits(pack_bits(values), len(values))
    assert bits is not None
    assert [bool(bits >> i & 1) for i in range(len(values))] == values


def test_the_form_is_the_one_described() -> None:
    assert pack_bits([True] + [False] * 8 + [True]) == "AQI="  # bytes 1 and 2
    assert pack_bits([]) == ""


@pytest.mark.parametrize(
    ("text", "count"), [("AQI=", 17), ("AQI=", 8), ("AQI=", 9), ("*", 3), ("AQ", 8), ("é", 8), ("", 1)]
)
def test_damage_is_noticed(text: str, count: int) -> None:
    assert unpack_bits(text, count) is None


def test_pairs_equal_a_count_by_hand() -> None:
    random_ = random.Random(3)
    pairs = [(random_.random() < 0.7, random_.random() < 0.5) for _ in range(83)]
    reference, simulated = (pack_bits(pair[i] for pair in pairs) for i in range(2))
    assert PairedCounts.of_bits(reference=reference, simulated=simulated, count=83) == PairedCounts(
        pairs.count((True, True)), pairs.count((True, False)), pairs.count((False, True)), pairs.count((False, False))
    )
