"""A network with parallel branches is said to be measured as it was read."""

from qdiag.pipeline.notes import branch_notes
from tests.branch_reports import branch_report


def test_blocks_are_counted() -> None:
    blocks = branch_report().blocks
    assert branch_notes(()) == ()
    (note,) = branch_notes(blocks)
    assert "with 4 blocks of parallel linear branches" in note and "qdiag branches" in note
    (note,) = branch_notes(blocks[:1])
    assert "with 1 block of" in note
