"""Sentences on BatchNorms: how many were folded, what that does to the float output, and why others stay."""

from collections.abc import Iterator

from qdiag.core.graph import INPUT, OUTPUT
from qdiag.core.measures.folding import BatchNormFold, FoldReport
from qdiag.reading.layer_names import layers_named
from qdiag.reading.words.numbers import count_noun

_NAMES_AT_MOST = 4


def headline(report: FoldReport) -> str:
    """`27 BatchNorms: all are folded.`, `5 BatchNorms: 4 are folded, and 1 stays.`"""
    total, kept = len(report.batchnorms), len(report.kept)
    if not total:
        return "The network has no BatchNorm: none was ever there, or all are folded into the weights already."
    which = "it is" if total == 1 else "all are"
    if not kept:
        return f"{count_noun(total, 'BatchNorm')}: {which} folded."
    if kept == total:
        return f"{count_noun(total, 'BatchNorm')}: {'it stays' if total == 1 else 'none is folded'}."
    folded = total - kept
    return f"{count_noun(total, 'BatchNorm')}: {_is(folded)} folded, and {kept} {'stays' if kept == 1 else 'stay'}."


def delta_sentence(report: FoldReport) -> str:
    """How far the float output moves; empty where nothing was folded."""
    if not report.folded:
        return ""
    samples = count_noun(report.data.measured_count, "sample")
    if not report.max_abs_delta:
        return f"The float output stays what it was, bit for bit, on {samples}."
    first, *others = report.outputs
    which = "output" if not others else f"output {first.name}"
    more = "".join(f"; {one.name} by {one.max_abs_delta:.1e}, {one.relative_delta:.1e}" for one in others)
    return (
        f"On {samples}, the float {which} moves by {first.max_abs_delta:.1e} at most, {first.relative_delta:.1e} of "
        f"its largest value{more}."
    )


def kept_sentences(report: FoldReport) -> Iterator[str]:
    """One for all BatchNorms that stay for the same reason in the same place."""
    groups: dict[tuple[str, str, tuple[str, ...]], list[BatchNormFold]] = {}
    for norm in report.kept:
        groups.setdefault((norm.kept or "", norm.reads, norm.readers), []).append(norm)
    for (reason, reads, readers), norms in groups.items():
        names = layers_named([norm.label for norm in norms], _NAMES_AT_MOST)
        place = f"reads {_noun(reads)}, and its own output {_goes(readers)}."
        if len(norms) == 1:
            yield f"{names} stays an operation of its own, because {reason}. It {place}"
        else:
            yield f"{names} stay operations of their own. The reason for each of them is that {reason}. Each {place}"


def layer_words(norm: BatchNormFold) -> str:
    """`depthwise conv`, `transposed conv`, ...; empty where there is no layer."""
    words = {"depthwise_conv": "depthwise conv", "conv_transpose": "transposed conv"}
    return "" if norm.layer is None else words.get(norm.layer.kind, norm.layer.kind)


def side_words(norm: BatchNormFold) -> str:
    """Where the layer stands: `before it`, or `after it, behind relu`."""
    if norm.layer is None:
        return ""
    if not norm.layer.direction.startswith("bn"):
        return "before it"
    return f"after it, behind {'the input' if norm.reads == INPUT else norm.reads}"


def _noun(operation: str) -> str:
    return "an input of the network" if operation == INPUT else f"the output of {operation}"


def _goes(readers: tuple[str, ...]) -> str:
    others = [reader for reader in readers if reader != OUTPUT]
    goes = f"goes to {' and '.join(others)}" if others else ""
    is_output = "is an output of the network" if OUTPUT in readers else ""
    return " and ".join(part for part in (goes, is_output) if part)


def _is(count: int) -> str:
    return f"{count} is" if count == 1 else f"{count} are"
