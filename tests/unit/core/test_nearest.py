"""Which word was meant: near ones alone are named."""

import pytest

from qdiag.core.nearest import nearest, nearest_hint


@pytest.mark.parametrize(
    ("word", "known", "found"),
    [
        ("imagnet", ["none", "imagenet"], ["imagenet"]),
        ("cdua", ["cpu", "cuda"], ["cuda"]),
        ("Nett", ["Net", "forward"], ["Net"]),
        ("powerof2", ["affine", "power_of_two"], ["power_of_two"]),
        ("backbone.7", ["backbone", "head"], ["backbone"]),
        ("mobilenet", ["resnet18", "mobilenet_v1"], ["mobilenet_v1"]),
        ("nope", ["xnor", "int8"], []),
        ("x", ["y"], []),
        ("", ["a", "b"], []),
        ("a" * 5000, ["cat"], []),
    ],
)
def test_words_that_are_near(word: str, known: list[str], found: list[str]) -> None:
    assert nearest(word, known) == found


def test_the_fewest_slips_come_first() -> None:
    assert nearest("resnet19", ["resnet50", "resnet18", "resnet"], at_most=3) == ["resnet18", "resnet50", "resnet"]


def test_the_hint_names_one_or_all() -> None:
    assert nearest_hint("hedd", ["head", "tail"]) == "did you mean head?"
    assert nearest_hint("zzz", ["head", "tail"]) == "give one of head, tail"
    assert nearest_hint("zzz", ["head", "tail"], "ask somebody") == "ask somebody"
