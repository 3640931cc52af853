"""What a run is said to cost, from its start on."""

from qdiag.cli.tables.cost_words import cost_words
from qdiag.pipeline.estimate import Estimate

STAGES = {"simulate": 30.0, "report": 2.0}


def test_what_is_over_counts_and_what_is_not_known_is_told_apart() -> None:
    cost = Estimate(STAGES, {**STAGES, "rank": 200.0}, 2.5, 400)
    expected = "about 40 s in all, 8 s of which are over, and 3.3 min more if there is something to repair"
    assert cost_words(cost, 8.0) == f"{expected} (400 samples, 2.5 s for a float pass)"


def test_what_an_earlier_run_did_is_known() -> None:
    cost = Estimate(STAGES, STAGES, 2.5, 400, is_known=True)
    assert cost_words(cost, 8.0).startswith("about 40 s in all, 8 s of which are over (400 samples")
