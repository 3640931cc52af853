"""What a careful reader of a measurement should know, as short facts."""

import math
from collections.abc import Mapping, Sequence

from qdiag.batches import Datasets
from qdiag.core.causes.ranking import Ranking
from qdiag.core.diagnosis import BitsPoint
from qdiag.core.listed import count_noun, listed
from qdiag.core.measures.branches import BranchBlock
from qdiag.core.measures.deployed.file import ranges_in
from qdiag.core.measures.measurement import Measurement
from qdiag.core.measures.quantizer import QuantizerRecord
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.task import Figure
from qdiag.core.scheme import RUNTIME_NAMES

_CLIPPED_INPUT_FRACTION = 0.01
"""Share of clipped input values from which calibration and measurement data look like different data."""
_NETWORKS = ("float", "quantized")


def notes_on(result: Measurement, original: Datasets, *, constant_count: int) -> tuple[str, ...]:
    """Notes, in a fixed order; none for an unremarkable measurement.

    Args:
        constant_count: constants that have a quantizer.
    """
    notes = []
    if result.data.is_data_free:
        notes.append(
            "data-free: inputs were drawn, not read; levels are indicative, the order of layers is what counts"
        )
    dropped = original.evaluation.sample_count - result.data.measured_count
    if dropped:
        who = "1 sample was" if dropped == 1 else f"{dropped} samples were"
        notes.append(f"{who} left over: the network takes batches of exactly {result.data.batch_size}")
    if result.layer_sample_count is not None:
        few, whole = result.layer_sample_count, count_noun(result.data.measured_count, "sample")
        sparse = [record.name for record in result.records if record.on_fewer is not None]
        with_few = f" with few values ({listed(sparse, 3)})"
        others = (
            f"; outputs, the task and {count_noun(len(sparse), 'layer')}{with_few}"
            if sparse
            else ", outputs and the task"
        )
        notes.append(f"layers were measured on {few} of {whole}{others} on all of them")
    nonfinite = [r.name for r in result.records if r.local.reference_nonfinite_count]
    if nonfinite:
        notes.append(f"the float network makes NaN or Inf in {_layers(nonfinite)}")
    produced = [
        r.name for r in result.records if r.propagated.simulated_nonfinite_count > r.local.reference_nonfinite_count
    ]
    if produced:
        notes.append(f"quantization makes NaN or Inf in {_layers(produced)}")
    for record in result.records:
        if record.kind == "input" and record.clipped_fraction > _CLIPPED_INPUT_FRACTION:
            share = 100.0 * record.clipped_fraction
            is_given = bool(ranges_in(result.deployed, record.name))
            where = "the range in the file; was it made with" if is_given else "the calibrated range; are these"
            notes.append(f"{record.name}: {share:.1f} % of the values lie outside {where} other data?")
    constant = [
        r.name
        for r in result.records
        if r.quantizer is not None and r.quantizer.shared_with is None and r.range and r.range.min == r.range.max == 0.0
    ]
    if constant:
        one = f"1 layer was all zero on the calibration data, {constant[0]}"
        many = f"{len(constant)} layers were all zero on the calibration data, first {constant[0]}"
        scale = f"{one}, and its scale is" if len(constant) == 1 else f"{many}, and their scales are"
        notes.append(f"{scale} set to 1")
    if constant_count:
        single = ("1 constant operand is", "it")
        what, them = single if constant_count == 1 else (f"{constant_count} constant operands are", "them")
        notes.append(f"{what} quantized too; what that costs is measured at the layers that read {them}")
    kept = [r for r in result.records if r.quantizer is None and r.skip_reason is None]
    if result.scheme.activations.type == "binary" and not result.scheme.activations.is_float and kept:
        who = "1 output stays" if len(kept) == 1 else f"{len(kept)} outputs stay"
        notes.append(f"{who} in float, first {kept[0].name}: signs are taken of what layers with weights read")
    signs = [r for r in result.records if r.quantizer is not None and not r.quantizer.has_range]
    both = [r for r in kept if any(o.reads_signs for o in result.records if r.name in o.inputs)]
    if both:
        others = "and as it is by whatever else reads it" if len(both) == 1 else "and as they are by other layers"
        who = "1 output is" if len(both) == 1 else f"{len(both)} outputs are"
        notes.append(f"{who} read as signs by layers with weights, {others}, first {both[0].name}")
    if signs:
        who, they = (
            ("1 output is a sign", "it holds") if len(signs) == 1 else (f"{len(signs)} outputs are signs", "they hold")
        )
        notes.append(
            f"{who}, first {signs[0].name}: {they} no range, and findings on the range of an output "
            "(QD201, QD203 to QD210, QD401 to QD404, QD501 to QD503, QD903) do not apply there"
        )
    uneven = [
        r
        for r in result.records
        if r.weight is not None and _uneven(r.weight.quantizer, *r.operands, *_inputs(result, r))
    ]
    if uneven:
        one = f"1 layer has no integers at one scale, {uneven[0].name}: its bias stays"
        many = f"{len(uneven)} layers have no integers at one scale, first {uneven[0].name}: their biases stay"
        words = one if len(uneven) == 1 else many
        notes.append(f"{words} in float, and QD104, QD105, QD601 and QD602 do not apply there")
    notes += _lost_pairs(result.records) + _stored_signs(result.records) + _runtime_differences(result)
    return (*notes, *(note for note in map(_undefined, result.task.figures) if note))


def _layers(names: Sequence[str]) -> str:
    """`3 layers, first in conv`; the one where there is one alone."""
    return names[0] if len(names) == 1 else f"{len(names)} layers, first in {names[0]}"


def _lost_pairs(records: Sequence[OpRecord]) -> list[str]:
    """In which layers pairs of products saturate in int16, and in how many of their sums."""
    able = [(record.name, record.pairs) for record in records if record.pairs is not None]
    lost = [(name, pairs) for name, pairs in able if pairs.saturated_count]
    if not able:
        return []
    if not lost:
        who = able[0][0] if len(able) == 1 else f"{len(able)} layers, first {able[0][0]}"
        return [f"pairs of products can leave int16 in {who}, and did so in none of the sums that were looked at"]
    name, worst = max(lost, key=lambda one: one[1].saturated_share)
    who = name if len(lost) == 1 else f"{len(lost)} layers, most in {name}"
    return [
        f"pairs of products leave int16 and saturate in {who}, in {100.0 * worst.saturated_share:.2g} % of its sums; "
        "activations or weights of 7 bits keep them inside"
    ]


def _runtime_differences(result: Measurement) -> list[str]:
    """Which layers may have other integers in the runtime, how many of all values they make, and why."""
    name = RUNTIME_NAMES.get(result.scheme.arithmetic)
    reasons: dict[str, list[OpRecord]] = {}
    for record in result.records:
        if record.runtime_difference is not None:
            reasons.setdefault(record.runtime_difference, []).append(record)
    if name is None or not reasons:
        return []
    total = sum(math.prod(record.output_shape) for record in result.records)
    found = []
    for reason, records in reasons.items():
        share = 100.0 * sum(math.prod(record.output_shape) for record in records) / max(total, 1)
        who = f"{records[0].name}" if len(records) == 1 else f"{len(records)} layers, first {records[0].name}"
        found.append(f"{who} ({share:.2g} % of all values): {reason}")
    return [f"{name} may come to other integers in {'; '.join(found)}"]


def _stored_signs(records: Sequence[OpRecord]) -> list[str]:
    """That weights are stored with two or three values alone, which nothing in `forward` says."""
    notes = []
    for form, values, bits in (("binary", "two values, -a and a", 1), ("ternary", "three values, -a, 0 and a", 2)):
        names = [r.name for r in records if r.weight is not None and r.weight.stored_format == form]
        if names:
            who = "1 layer" if len(names) == 1 else f"{len(names)} layers"
            notes.append(
                f"the stored weights of {who} take only {values}, in each output channel, first {names[0]}: they are "
                "quantized as the scheme says, because nothing tells whether the backend stores them in "
                f"{'1 bit' if bits == 1 else '2 bits'}; weights.type = {form} with bits = {bits}, scale = float32 "
                "and granularity = per_channel does"
            )
    return notes


def _undefined(figure: Figure) -> str:
    """That a figure is no number, of which network, and what follows; empty where both have one."""
    names = [
        f"the {name} network" + (f" on {count} of {figure.sample_count} samples" if count else "")
        for name, value, count in zip(_NETWORKS, (figure.reference, figure.simulated), figure.nan_counts, strict=True)
        if math.isnan(value)
    ]
    if not names:
        return ""
    follows = "what quantization costs cannot be told by it" if math.isnan(figure.reference) else "that counts as harm"
    return f"{figure.criterion.name} is not a number (NaN) for {' and '.join(names)}: {follows}"


def _inputs(result: Measurement, record: OpRecord) -> list[QuantizerRecord | None]:
    """Quantizers of what the layer multiplies with its weight."""
    return [other.quantizer for other in result.records if record.inputs[:1] == (other.name,)]


def _uneven(*quantizers: QuantizerRecord | None) -> bool:
    return any(quantizer is not None and quantizer.scale is None for quantizer in quantizers)


def overflow_notes(channels: Mapping[str, Sequence[int]]) -> tuple[str, ...]:
    """That biases are limited to their integers, which a diagnosis looks into; nothing without any.

    Args:
        channels: of each layer where that is so.
    """
    if not channels:
        return ()
    count = sum(map(len, channels.values()))
    who = "1 bias is" if count == 1 else f"{count} biases are"
    return (
        f"{who} larger than the integer of a bias can be, and limited to the largest one, in {listed(list(channels))}; "
        "qdiag explain QD104 says more",
    )


def branch_notes(blocks: Sequence[BranchBlock]) -> tuple[str, ...]:
    """That the network was measured with parallel branches, which deployment fuses; nothing without any."""
    if not blocks:
        return ()
    count = f"{len(blocks)} blocks" if len(blocks) > 1 else "1 block"
    return (
        f"measured as it was read, with {count} of parallel linear branches; deployed, each is one convolution, and "
        "qdiag branches shows what that changes",
    )


def fused_notes(ranking: Ranking) -> tuple[str, ...]:
    """That a fault costs accuracy in the fused network alone; nothing without any."""
    found = [cause for cause in ranking.causes if cause.verdict == "fused"]
    if not found:
        return ()
    codes = ", ".join(dict.fromkeys(f"{cause.code} in {listed(cause.layers)}" for cause in found))
    return (
        f"with its branches fused, the network loses accuracy by what it does not suffer from as it was read: {codes}",
    )


def sample_notes(ranking: Ranking, bits: Sequence[BitsPoint]) -> tuple[str, ...]:
    """On how many samples figures were measured where these are not all: of repairs that they ruled out, and others."""
    whole = ranking.before.task.sample_count
    found, few, placebos = list[str](), dict[int, list[str]](), dict[int, list[str]]()
    tried = [(trial, cause.code) for cause in ranking.causes for trial in cause.trials]
    for trial, place in (*tried, *((trial, "the whole network") for trial in ranking.ways_around)):
        count = trial.after.task.sample_count if trial.after is not None and not trial.first else whole
        if count < whole:
            few.setdefault(count, []).append(f"{trial.repair} of {place}")
        if trial.placebo is not None and trial.placebo.sample_count is not None:
            placebos.setdefault(trial.placebo.sample_count, []).append(f"{trial.repair} of {place}")
    for count, names in sorted(few.items()):
        were = "repair was" if len(names) == 1 else "repairs were"
        on = f"on {count} of {count_noun(whole, 'sample')}"
        found.append(f"{len(names)} {were} ruled out {on} and not measured on the others: {listed(names)}")
    for count, names in sorted(placebos.items()):
        were = "1 placebo was" if len(names) == 1 else f"{len(names)} placebos were"
        on = f"on {count} of {count_noun(whole, 'sample')}, which leave no doubt"
        found.append(f"{were} measured {on}: {'that' if len(names) == 1 else 'those'} of {listed(names)}")
    count = min((point.score.task.sample_count for point in bits), default=whole)
    if count < whole:
        found.append(f"other widths were measured on {count} of {count_noun(whole, 'sample')}")
    return tuple(found)
