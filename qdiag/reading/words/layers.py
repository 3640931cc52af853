"""Short words for layers and schemes, the same in the table, the plot and the CSV file."""

from collections.abc import Sequence

from qdiag.core.formats.integers import integer_layers
from qdiag.core.formats.low_bits import LOW_BITS
from qdiag.core.listed import listed
from qdiag.core.measures.records import OpRecord
from qdiag.core.printable import printable
from qdiag.core.scheme import RUNTIME_NAMES, LayerOverride, QuantScheme, TensorScheme
from qdiag.core.tensor_scheme import FLOAT_TYPES
from qdiag.reading.layer_names import layers_named
from qdiag.reading.words.numbers import count_noun

_OP_WORDS = {
    "conv1d": "conv",
    "conv2d": "conv",
    "conv3d": "conv",
    "convolution": "conv",
    "conv_transpose1d": "conv-t",
    "conv_transpose2d": "conv-t",
    "conv_transpose3d": "conv-t",
    "hardtanh": "clamp",
    "adaptive_avg_pool2d": "avg-pool",
    "avg_pool2d": "avg-pool",
    "batch_norm": "bn",
}

_RANGES_AT_MOST = 4
"""Layers with a range of their own that are shown with it."""


def op_words(record: OpRecord) -> str:
    """`conv 3x3 dw + relu6`: kernel size, depthwise or grouped, and what is fused; folded BatchNorms are left out.

    `binary conv 3x3` where the network itself gives its weight this form.
    """
    names = [name.rstrip("_") for name in record.ops]
    if not names:
        return record.kind
    first = _OP_WORDS.get(names[0], names[0])
    if first in ("conv", "conv-t") and record.weight is not None:
        kernel = record.weight.shape[2:]
        first = f"{first} {'x'.join(map(str, kernel))}{_groups_word(record)}"
    if record.weight is not None and record.weight.own_format is not None:
        first = f"{record.weight.own_format} {first}"
    fused = [_OP_WORDS.get(name, name) for name in names[1:] if name != "batch_norm"]
    return " + ".join([first, *fused])


def _groups_word(record: OpRecord) -> str:
    if record.kind == "depthwise_conv":
        return " dw"
    return f" g{record.groups}" if record.groups > 1 else ""


def own_format_words(records: Sequence[OpRecord], shown: int = 4) -> tuple[str, ...]:
    """`7 layers hold binary weights as they stand, 1 bit each, kept exactly: c1.conv, ...`, a line for each format."""
    by_format: dict[tuple[str, int], list[str]] = {}
    for record in records:
        if record.weight is not None and record.weight.own_format is not None:
            by_format.setdefault((record.weight.own_format, record.weight.bits), []).append(record.name)
    return tuple(
        f"{count_noun(len(names), 'layer')} {'hold' if len(names) > 1 else 'holds'} {form} weights as they stand, "
        f"{count_noun(bits, 'bit')} each, kept exactly: {layers_named(names, shown)}"
        for (form, bits), names in by_format.items()
    )


def tensor_scheme_words(scheme: TensorScheme) -> str:
    """`int8 [-127, 127] symmetric per channel, minmax`, every field that matters resolved."""
    if scheme.is_float:
        return "float"
    where = {"per_tensor": "per tensor", "per_channel": "per channel"}.get(
        scheme.granularity, f"per group of {scheme.group_size}"
    )
    how = {
        "percentile": f"percentile {scheme.percentile:g}",
        "moving_average": f"moving average {scheme.averaging_constant:g}",
        "minmax": "min-max",
    }.get(scheme.calibrator, scheme.calibrator)
    if scheme.range is not None:
        how = f"range {scheme.range[0]:g} to {scheme.range[1]:g}"
    if scheme.channel_ranges is not None:
        how = "a given range for each channel"
    if scheme.type in FLOAT_TYPES:
        return _float_words(scheme, where, how)
    if scheme.type in LOW_BITS:
        return _low_bit_words(scheme, where)
    if scheme.type == "linear" and scheme.step is not None:
        return f"{scheme.bits}-bit linear {where}, steps of {scheme.step:g}, {how}"
    if scheme.type != "affine":
        return f"{scheme.bits}-bit {format_words(scheme.type)}{' signed' if scheme.signed else ''} {where}, {how}"
    kind = f"{'int' if scheme.signed else 'uint'}{scheme.bits} [{scheme.quant_min}, {scheme.quant_max}]"
    return f"{kind} {'symmetric' if scheme.symmetric else 'affine'} {where}, {how}"


def _float_words(scheme: TensorScheme, where: str, how: str) -> str:
    """`e4m3 float per channel, min-max`, `e2m1 float in blocks of 32 with e8m0 scales`, `float16 without a scale`."""
    element = scheme.float_format.name
    name = element if element in ("float16", "bfloat16") else f"{element} float"
    beyond = "" if scheme.saturate else ", overflowing"
    if scheme.is_block:
        tensor = f" and one float32 scale per tensor, {how}" if scheme.scale_name == "e4m3" else ""
        return f"{name} in blocks of {scheme.group_size} with {scheme.scale_name} scales{tensor}"
    return f"{name} without a scale{beyond}" if scheme.scale_name == "none" else f"{name} {where}, {how}{beyond}"


def other_widths_words(scheme: QuantScheme) -> str:
    """What the sweep over bits has in place of numbers that come in one width, and what more bits of others do not do;
    empty where neither is so."""
    both = (scheme.weights, scheme.activations)
    fixed = dict.fromkeys(one.type for one in both if one.type in LOW_BITS and not one.is_float)
    words = [f"{listed(list(fixed))} numbers come in one width: integers stand for them here."] if fixed else []
    if any(one.type == "power_of_two" and not one.is_float for one in both):
        words.append("more bits of powers of two reach smaller values, and bring none of them closer together.")
    return " ".join(word if i == 0 else word[:1].upper() + word[1:] for i, word in enumerate(words))


def _low_bit_words(scheme: TensorScheme, where: str) -> str:
    """`binary, E|W| per channel, centred and clamped`, `binary, +1 and -1`, `ternary, E|W| per tensor`."""
    unscaled = "+1 and -1" if scheme.type == "binary" else "+1, 0 and -1"
    parts = [scheme.type, unscaled if scheme.scale_name == "none" else f"E|W| {where}"]
    parts += ["centred and clamped"] if scheme.center else []
    parts += [f"drawn with seed {scheme.stochastic_seed}"] if scheme.stochastic_seed is not None else []
    return ", ".join(parts)


def format_words(name: str) -> str:
    """`power of two` for `power_of_two`."""
    return name.replace("_", " ")


def arithmetic_words(scheme: QuantScheme) -> str:
    """Bias and accumulator as they are simulated, BatchNorm, what stays in float and what is split."""
    words = [_sum_words(scheme)]
    if scheme.arithmetic != "float":
        words.append(f"integers by the rules of {RUNTIME_NAMES[scheme.arithmetic]}")
    words.append("BatchNorm folded" if scheme.fold_batchnorm else "BatchNorm not folded")
    if scheme.batchnorm == "shift":
        words.append("BatchNorm by shifts where it stays")
    if scheme.float_layers:
        words.append(f"float: {' '.join(scheme.float_layers)}")
    if scheme.split_concats:
        words.append(f"split: {' '.join(scheme.split_concats)}")
    return ", ".join(words)


def _sum_words(scheme: QuantScheme) -> str:
    """What the sums of products have, and their bias: integers only where input and weight are integers."""
    found, pairs = integer_layers(scheme), ", int16 pair sums" if scheme.pair_saturation else ""
    if found == "none":
        why = "" if scheme.bias == "float" else ", because no layer has integers at one scale"
        return f"bias float, sums in float{why}"
    words = f"bias {scheme.bias}, {scheme.accumulator_bits}-bit accumulator{pairs}"
    if found == "all":
        return words
    return f"{words} where input and weight are integers at one scale, float elsewhere"


def override_lines(scheme: QuantScheme) -> tuple[str, ...]:
    """`blocks.12.dw: activations.bits 16`, one line for all patterns in a row with the same change.

    Where more layers than a few have nothing but a range of their own, or one has more than a few for its channels,
    they share a line without the numbers.
    """
    alone = [o for o in scheme.layers if _gives_ranges_alone(o)]
    given = {o.pattern: None for o in alone}
    is_long = max(len(given), *(len(o.weights.channel_ranges or ()) for o in alone), 0) > _RANGES_AT_MOST
    groups: list[tuple[str, list[str]]] = [("a given range for each", list(given))] if is_long else []
    for override in scheme.layers:
        if is_long and _gives_ranges_alone(override):
            continue
        change = _change_words(override)
        if not groups or groups[-1][0] != change:
            groups.append((change, []))
        groups[-1][1].append(override.pattern)
    return tuple(f"{listed(patterns, 4)}: {change}" for change, patterns in groups)


def _gives_ranges_alone(override: LayerOverride) -> bool:
    changed = {*override.weights.values, *override.activations.values}
    return bool(changed) and changed <= {"range", "channel_ranges"} and override.bias is None


def _change_words(override: LayerOverride) -> str:
    sections = (("weights", override.weights), ("activations", override.activations))
    words = [f"{name}.{key} {_value(value)}" for name, change in sections for key, value in change.values.items()]
    return ", ".join([*words, *([f"bias {override.bias}"] if override.bias else [])]) or "no change"


def _value(value: object) -> str:
    """`true`, `0.1`, `-3.91 to 3.91`; the ranges of more channels than a few are counted."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if not isinstance(value, tuple) or not value:
        return str(value)
    if isinstance(value[0], tuple):
        return f"of {len(value)} channels" if len(value) > _RANGES_AT_MOST else ", ".join(map(_value, value))
    return " to ".join(map(_value, value))


def shorten(text: str, width: int) -> str:
    """Keeps both ends of a long path, where layers differ, around an ellipsis; on one line."""
    text = printable(" ".join(text.splitlines()))
    if len(text) <= width:
        return text
    if width <= 1:
        return "…"[:width]
    tail = (width - 1) * 2 // 3
    return f"{text[: width - 1 - tail]}…{text[len(text) - tail :]}"


def drop_common_prefix(names: Sequence[str]) -> list[str]:
    """Names without the leading modules (`backbone.features.`) that all of them share."""
    parts = [name.split(".") for name in names]
    shared = 0
    while all(len(p) > shared + 1 for p in parts) and len({p[shared] for p in parts}) == 1:
        shared += 1
    return [".".join(p[shared:]) for p in parts]
