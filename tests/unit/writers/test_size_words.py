"""Sizes in words, and the rows by which two of them are compared."""

import pytest

from qdiag.core.contradictions import contradictions
from qdiag.core.measures.size import NetworkBytes, NetworkSize
from qdiag.reading.words.size import byte_words, size_rows, size_words

SIZE = NetworkSize(NetworkBytes(1_710_400, 0, 301_056), NetworkBytes(430_000, 3_480, 75_264))


def test_a_line_for_each_network_and_one_for_both() -> None:
    assert size_words(SIZE) == (
        "float 1.71 MB of weights, 301 kB of activations",
        "quantized 430 kB of weights and 3.48 kB of scales, 75.3 kB of activations",
        "weights and scales are 3.95 times smaller than in float (74.7 % saved)",
    )
    assert size_words(None) == ()
    assert size_words(NetworkSize(NetworkBytes(0, 0, 4), NetworkBytes(0, 0, 1))) == ()


def test_what_grows_or_stays_is_said_so() -> None:
    same = NetworkSize(SIZE.reference, SIZE.reference)
    assert size_words(same)[2] == "weights and scales take as much as in float"
    larger = NetworkSize(NetworkBytes(100, 0, 8), NetworkBytes(100, 60, 8))
    assert size_words(larger)[2] == "weights and scales take 1.60 times as much as in float"


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (999, "999 bytes"),
        (1000, "1.00 kB"),
        (56_780, "56.8 kB"),
        (3_000_000_000, "3.00 GB"),
    ],
)
def test_three_digits_in_powers_of_a_thousand(count: int, words: str) -> None:
    assert byte_words(count) == words


def test_two_sizes_side_by_side() -> None:
    smaller = NetworkSize(SIZE.reference, NetworkBytes(215_000, 3_480, 75_264))
    assert list(size_rows(SIZE, smaller)) == [
        ("weights", "430 kB", "215 kB", "-50.0 %"),
        ("scales", "3.48 kB", "3.48 kB", "none"),
        ("activations", "75.3 kB", "75.3 kB", "none"),
        ("compression", "3.95 x", "7.83 x", ""),
    ]
    assert list(size_rows(None, None)) == []
    assert next(size_rows(None, SIZE)) == ("weights", "not known", "430 kB", "")


def test_float_networks_are_compared_where_they_differ() -> None:
    fused = NetworkSize(NetworkBytes(1_600_000, 0, 301_056), SIZE.simulated)
    rows = {row[0]: row[1:] for row in size_rows(SIZE, fused)}
    assert rows["float weights"] == ("1.71 MB", "1.60 MB", "-6.5 %")
    assert rows["float activations"] == ("301 kB", "301 kB", "none")
    assert "float scales" not in rows


def test_a_scheme_that_the_header_does_not_name_is_named() -> None:
    assert size_words(SIZE, "int8")[1] == "as int8 430 kB of weights and 3.48 kB of scales, 75.3 kB of activations"


def test_a_negative_count_contradicts_itself() -> None:
    found = list(contradictions(NetworkSize(NetworkBytes(8, 0, 4), NetworkBytes(8, -1, 4))))
    assert found == [("simulated", "scales is negative")]
