"""Counts with their noun, and lists cut short."""

import pytest

from qdiag.core.listed import count_noun, listed


@pytest.mark.parametrize(
    ("count", "noun", "words"),
    [
        (1, "sample", "1 sample"),
        (0, "sample", "0 samples"),
        (2, "finished pass", "2 finished passes"),
        (1, "class", "1 class"),
        (10, "class", "10 classes"),
        (3, "batch", "3 batches"),
        (2, "branch", "2 branches"),
        (2, "epoch", "2 epochs"),
    ],
)
def test_a_noun_has_the_number_of_its_count(count: int, noun: str, words: str) -> None:
    assert count_noun(count, noun) == words


def test_what_is_left_out_of_a_list_is_counted() -> None:
    assert listed(["a", "b", "c"]) == "a, b, c"
    assert listed(["a", "b", "c", "d", "e"]) == "a, b, c and 2 more"
