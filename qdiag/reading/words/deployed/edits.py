"""What has to change in a quantized file, tensor by tensor."""

from collections.abc import Sequence

from qdiag.core.measures.deployed.edit import FileEdit
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.reading.layer_names import layer_named
from qdiag.reading.words.numbers import count_noun, significant

_SHOWN = 12


def edit_lines(edits: Sequence[FileEdit]) -> tuple[str, ...]:
    """`head, output y: scale 0.0117 → 0.0059, zero point 40 → 128`, one line each; the first dozen."""
    lines = [f"{layer_named(edit.layer)}, {edit.kind} {edit.tensor}: {change_words(edit)}" for edit in edits[:_SHOWN]]
    if len(edits) > _SHOWN:
        lines.append(f"and {count_noun(len(edits) - _SHOWN, 'tensor')} more")
    return tuple(lines)


def change_words(edit: FileEdit) -> str:
    """`scale 0.0117 → 0.0059, zero point 40 → 128`, or `in float`."""
    if edit.after is None:
        return "in float"
    if edit.kind == "bias":
        return f"other integers, at {count_noun(edit.count, 'scale')}"
    if edit.before is None:
        return f"quantized, {_numbers(edit.after)}"
    if edit.count > 1:
        return f"other integers, at {count_noun(edit.count, 'scale')}"
    if _numbers(edit.before) == _numbers(edit.after):
        return f"other integers, {_numbers(edit.after)} as before"
    return f"{_numbers(edit.before)} → {_numbers(edit.after)}"


def _numbers(one: QuantizerRecord) -> str:
    if one.scale is None:
        return count_noun(one.bits, "bit")
    return f"{count_noun(one.bits, 'bit')}, scale {significant(one.scale)}, zero point {one.zero_point}"
