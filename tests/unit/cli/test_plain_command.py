"""Values that an option cannot take: what is wrong with them, and which choice was meant."""

import pytest

from qdiag.cli.app import run


@pytest.mark.parametrize(
    ("line", "meant"),
    [
        ("sqnr x.pt2 --preset imagnet", "imagenet"),
        ("sqnr x.pt2 --device cdua", "cuda"),
        ("report x -o y --format htlm", "html"),
        ("cache infoo", "info"),
        ("sqnr x.pt2 --preset photographs", None),
        ("diagnose x.pt2 --samples 1.5", None),
    ],
)
def test_the_choice_that_was_meant_is_named(line: str, meant: str | None, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(line.split()) == 2
    told = " ".join(capsys.readouterr().err.replace("│", " ").split())
    assert (f"Did you mean {meant}?" in told) if meant else ("Did you mean" not in told)
