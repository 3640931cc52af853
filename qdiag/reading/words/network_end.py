"""What a file has behind the part that is measured."""

from collections.abc import Sequence

from qdiag.core.listed import listed
from qdiag.core.measures.measurement import LeftOut
from qdiag.reading.words.numbers import count_noun

_SHOWN = 3


def network_end_words(left_out: Sequence[LeftOut]) -> str | None:
    """`the end of the file is not measured: NonMaxSuppression (nms) and 3 operators behind it, ...`.

    None where the whole file is measured.
    """
    if not left_out:
        return None
    first = [f"{one.kind} ({one.name})" for one in left_out if one.is_first]
    behind = len(left_out) - len(first)
    more = f" and {count_noun(behind, 'operator')} behind {'it' if len(first) == 1 else 'them'}" if behind else ""
    return (
        f"the end of the file is not measured: {listed(first, _SHOWN)}{more}, because how many results they give "
        "depends on the data; the outputs are the tensors that are read there"
    )


def written_end_words(left_out: Sequence[LeftOut], *, has_own_graph: bool) -> str | None:
    """What becomes of that end in a file that is written; None where there is none.

    Args:
        has_own_graph: the nodes of the file are those of the model's own file.
    """
    if not left_out:
        return None
    first = next(one for one in left_out if one.is_first)
    if has_own_graph:
        return f"it ends as the model's own file does, in {first.kind} and what stands behind it"
    return f"it ends in the outputs that are measured: {first.kind} and what stands behind it is not in it"
