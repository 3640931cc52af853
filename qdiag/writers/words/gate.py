"""Words for a gate, the same on the terminal, in Markdown, JUnit, SARIF and annotations."""

import math
from collections.abc import Sequence

from qdiag.core.gate import GateCheck, GateResult, GateRule, GateStatus, NamedCause
from qdiag.core.listed import listed
from qdiag.writers.words.causes import cause_title, repair_title
from qdiag.writers.words.numbers import count_noun, interval_words, number, with_unit

STATUS_WORDS: dict[GateStatus, str] = {
    "pass": "pass",
    "warn": "warn",
    "undecided": "undecided",
    "cannot_judge": "cannot judge",
    "fail": "FAIL",
}

RULE_TITLES: dict[GateRule, str] = {
    "max_drop": "drop of top-1",
    "max_relative_drop": "relative drop of top-1",
    "min_accuracy": "top-1, quantized",
    "max_flips": "samples that change top-1",
    "min_sqnr": "SQNR of the output",
    "min_layer_sqnr": "local SQNR",
    "baseline_drop": "drop of top-1, growth",
    "baseline_flips": "samples that change top-1, growth",
    "baseline_sqnr": "SQNR of the output, loss",
    "no_new_causes": "new causes",
    "forbid": "forbidden",
    "evidence": "stored result",
}

RULE_HELP: dict[GateRule, str] = {
    "max_drop": "Top-1 of the float network minus top-1 of the quantized one, in percentage points.",
    "max_relative_drop": "The drop of top-1 over the top-1 of the float network.",
    "min_accuracy": "Top-1 of the quantized network.",
    "max_flips": "Share of samples on which the two networks differ in top-1.",
    "min_sqnr": "Signal-to-quantization-noise ratio at the output that lost most.",
    "min_layer_sqnr": "Signal-to-quantization-noise ratio of one layer alone, on float inputs.",
    "baseline_drop": "Growth of the drop of top-1 since the baseline.",
    "baseline_flips": "Growth of the share of samples that change top-1 since the baseline.",
    "baseline_sqnr": "Loss of output SQNR since the baseline.",
    "no_new_causes": "Causes of lost accuracy, proved by their repair, that the baseline does not have.",
    "forbid": "A finding that the gate forbids.",
    "evidence": "The stored result could not be read.",
}

_FLOORS = ("min_accuracy", "min_sqnr", "min_layer_sqnr")
_ON_CHANGE = ("baseline_drop", "baseline_flips", "baseline_sqnr")


def check_title(check: GateCheck) -> str:
    """What was checked: `local SQNR of blocks.0.dw`."""
    title = RULE_TITLES[check.rule]
    if check.layer is not None:
        return f"{title} of {check.layer}"
    return f"{title} {check.code}" if check.code is not None else title


def limit_words(check: GateCheck) -> str:
    """`≤ 1.0 pp, warn 0.5`; empty where no number is limited."""
    if check.rule in ("forbid", "no_new_causes", "evidence"):
        return "none" if not math.isnan(check.limit) else ""
    sign = "≥" if check.rule in _FLOORS else "≤ +" if check.rule in _ON_CHANGE else "≤"
    if check.rule == "baseline_sqnr":
        sign = "≥ -"
    space = "" if sign.endswith(("+", "-")) else " "
    if math.isnan(check.limit):
        return "" if math.isnan(check.warn_limit) else f"warn {sign}{space}{with_unit(check.warn_limit, check.unit)}"
    warn = "" if math.isnan(check.warn_limit) else f", warn {number(check.warn_limit)}"
    return f"{sign}{space}{with_unit(check.limit, check.unit)}{warn}"


def figure_words(check: GateCheck, value: float) -> str:
    """`67.4 pp`, `3 layers`; empty for NaN."""
    if math.isnan(value):
        return ""
    if check.unit == "layers":
        return count_noun(int(value), "layer") if value else "none"
    return with_unit(value, check.unit)


def change_words(check: GateCheck) -> str:
    """`+0.4 pp`, `-1.2 dB`; empty without a baseline."""
    if math.isnan(check.change):
        return ""
    unit = "pp" if check.unit == "%" else check.unit
    text = f"{check.change:+.0f}" if check.unit == "layers" else f"{check.change:+.1f}"
    if float(text) == 0.0:
        text = text[1:]
    return f"{text} {unit}".strip()


def samples_words(check: GateCheck) -> str:
    """`about 1,400 more samples would settle it`; empty where that is not known."""
    if check.samples_needed is None:
        return ""
    digits = max(0, len(str(check.samples_needed)) - 2)
    rounded = math.ceil(check.samples_needed / 10**digits) * 10**digits
    return f"about {rounded:,} more samples would settle it"


def detail_words(check: GateCheck) -> str:
    """Why, where, and what would settle it: what stands beside the figures."""
    parts = []
    if check.code is not None and check.status not in ("pass", "cannot_judge"):
        parts.append(cause_title(check.code))
    if check.reason:
        parts.append(check.reason)
    if check.places and check.layer is None:
        parts.append(f"in {listed(check.places)}")
    needed = samples_words(check)
    return "; ".join([*parts, *([needed] if needed else [])])


def detail_lines(checks: Sequence[GateCheck]) -> tuple[tuple[GateStatus, str], ...]:
    """What is to be said beside the figures, each thing once: `20 checks: NaN or Inf in conv1`."""
    groups: dict[tuple[GateStatus, str], list[GateCheck]] = {}
    for check in checks:
        detail = detail_words(check)
        if detail and (check.status != "pass" or check.reason):
            groups.setdefault((check.status, detail), []).append(check)
    return tuple(
        (status, f"{check_title(group[0]) if len(group) == 1 else count_noun(len(group), 'check')}: {detail}")
        for (status, detail), group in groups.items()
    )


def check_sentence(check: GateCheck) -> str:
    """One line with everything: `drop of top-1: 67.4 pp (95 %: 63.0 to 71.3), limit ≤ 1.0 pp`."""
    on_change = check.rule in _ON_CHANGE
    words = change_words(check) if on_change else figure_words(check, check.value)
    bounds = interval_words(check.interval) if check.interval is not None else ""
    words += f" ({bounds})" if words and bounds else ""
    limit = limit_words(check)
    limit = "" if limit == "none" else f"limit {limit}" if limit else ""
    parts = [part for part in (words, limit, detail_words(check)) if part]
    return f"{check_title(check)}: {', '.join(parts)}" if parts else check_title(check)


def verdict_words(result: GateResult) -> str:
    """The whole gate in one sentence."""
    counted = [check for check in result.checks if check.status == result.status]
    share = f"{len(counted)} of {count_noun(len(result.checks), 'check')}"
    return {
        "pass": f"The gate passed: {count_noun(len(result.checks), 'check')}.",
        "warn": f"The gate passed with warnings: {share}.",
        "undecided": f"The gate passed, but {share} could not be decided on so few samples.",
        "cannot_judge": f"The gate could not judge: {share}.",
        "fail": f"The gate failed: {share}.",
    }[result.status]


def named_cause_words(cause: NamedCause) -> str:
    """`QD301 dead BatchNorm channels set the weight range (dw0, dw1 and 5 more): REPAIR, gives back 56.4 pp`."""
    words = f"{cause.code} {cause_title(cause.code)}"
    if cause.layers:
        words += f" ({listed(cause.layers)})"
    if cause.is_new:
        words = f"new: {words}"
    if cause.repair is None:
        return words
    back = (
        with_unit(cause.recovered_db, "dB") if math.isnan(cause.recovered_pp) else with_unit(cause.recovered_pp, "pp")
    )
    return f"{words}: {repair_title(cause.repair)}, gives back {back}"


def shown_checks(result: GateResult, layers_at_most: int = 20) -> tuple[tuple[GateCheck, ...], str]:
    """Checks for a table, and a sentence on the layers that are left out.

    Layers that pass are left out, except the weakest of them where none fails.
    """
    layers = [check for check in result.checks if check.rule == "min_layer_sqnr"]
    if not layers:
        return result.checks, ""
    by_value = sorted(layers, key=lambda check: -math.inf if math.isnan(check.value) else check.value)
    wanted = [check for check in by_value if check.status != "pass"] or by_value[:1]
    kept = {check.layer for check in wanted[:layers_at_most]}
    rest = len(layers) - len(kept)
    passing = sum(check.status == "pass" for check in layers if check.layer not in kept)
    shown = tuple(check for check in result.checks if check.rule != "min_layer_sqnr" or check.layer in kept)
    if not rest:
        return shown, ""
    tail = "all pass" if passing == rest else f"{passing} pass"
    return shown, f"{count_noun(rest, 'more layer')} checked: {tail}."
