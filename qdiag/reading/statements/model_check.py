"""What `qdiag check` says of a model, sentence by sentence."""

from collections.abc import Iterator

from qdiag.core.measures.operations.model_check import ModelCheck
from qdiag.reading.statements.base import Statement, numbered, sentence
from qdiag.reading.words.float_ops import float_op_words, float_share_warning
from qdiag.reading.words.operations.model_check import next_words, task_words, verdict_words, work_words
from qdiag.reading.words.size import size_words

Told = Iterator[tuple[str, tuple[str, ...]]]


def check_statements(check: ModelCheck) -> tuple[Statement, ...]:
    """Whether the network can be run and what the scheme quantizes of it, its task, what stays in float, its size."""
    warning = float_share_warning(check)
    return (
        Statement("verdict", verdict_words(check), ("/layer_count", "/quantized_count", "/operations")),
        Statement("task", f"{task_words(check)} {next_words(check)}", ("/choice", "/criterion")),
        *numbered("float", _float_ops(check)),
        *((Statement("float-share", sentence(warning), ("/float_share",)),) if warning else ()),
        *numbered("size", ((sentence(words), ("/size",)) for words in size_words(check.size))),
        Statement("work", sentence(work_words(check)), ("/mac_count",)),
    )


def _float_ops(check: ModelCheck) -> Told:
    """One line for each reason, and one for all together where there are several."""
    by_reason: dict[str, list[str]] = {}
    for i, op in enumerate(check.float_ops):
        by_reason.setdefault(op.reason, []).append(f"/float_ops/{i}")
    proofs = [tuple(places) for places in by_reason.values()]
    for words, proof in zip(float_op_words(check), [*proofs, ("/float_ops", "/float_share")], strict=False):
        yield sentence(words), proof
