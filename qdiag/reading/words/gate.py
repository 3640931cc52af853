"""Words for a gate, the same on the terminal, in Markdown, JUnit, SARIF and annotations."""

import math
from collections.abc import Sequence

from qdiag.core.gate import EXIT_PASSED, GateCheck, GateResult, GateRule, GateStatus, NamedCause
from qdiag.reading.layer_names import layer_named, layers_named
from qdiag.reading.words.causes import cause_title, repair_title
from qdiag.reading.words.numbers import count_noun
from qdiag.reading.words.task.figures import WEAKEST_SQNR, digits, noun
from qdiag.reading.words.task.figures import change_words as gain_words
from qdiag.reading.words.task.harm import RESERVED, cost_words, state_words

STATUS_WORDS: dict[GateStatus, str] = {
    "pass": "pass",
    "warn": "warn",
    "undecided": "undecided",
    "cannot_judge": "cannot judge",
    "fail": "FAIL",
}

_TITLES: dict[GateRule, str] = {
    "max_drop": "drop of {}",
    "max_relative_drop": "relative drop of {}",
    "min_accuracy": "{}, quantized",
    "max_flips": "answers that changed",
    "max_metric_drop": "{}, loss",
    "min_metric": "{}, quantized",
    "max_metric": "{}, quantized",
    "min_sqnr": WEAKEST_SQNR,
    "min_layer_sqnr": "local SQNR",
    "baseline_drop": "drop of {}, growth",
    "baseline_flips": "answers that changed, growth",
    "baseline_metric": "{}, growth of the loss",
    "baseline_sqnr": f"{WEAKEST_SQNR}, loss",
    "no_new_causes": "new causes",
    "forbid": "forbidden",
    "evidence": "stored result",
}
_METRIC_RULES = ("max_metric_drop", "min_metric", "max_metric", "baseline_metric")
RULE_TITLES: dict[GateRule, str] = {
    rule: title.format("judged figure" if rule in _METRIC_RULES else "accuracy") for rule, title in _TITLES.items()
} | {"max_metric": "judged figure, quantized, where lower is better"}
"""Of a rule, whatever figure it is applied to."""

RULE_HELP: dict[GateRule, str] = {
    "max_drop": "Share of right answers of the float network minus that of the quantized one, in percentage points.",
    "max_relative_drop": "The drop of the share of right answers over that of the float network.",
    "min_accuracy": "Share of right answers of the quantized network.",
    "max_flips": "Share of answers that are not those of the float network.",
    "max_metric_drop": "Loss of the figure by which the network is judged, in its unit; positive is worse.",
    "min_metric": "The figure by which the network is judged, of the quantized network; higher is better.",
    "max_metric": "The figure by which the network is judged, of the quantized network; lower is better.",
    "min_sqnr": "Signal-to-quantization-noise ratio of the weakest output, at its weakest part where parts count.",
    "min_layer_sqnr": "Signal-to-quantization-noise ratio of one layer alone, on float inputs.",
    "baseline_drop": "Growth of the drop of the share of right answers since the baseline.",
    "baseline_flips": "Growth of the share of answers that changed since the baseline.",
    "baseline_metric": "Growth of the loss of the judged figure since the baseline.",
    "baseline_sqnr": "Loss of the SQNR of the weakest output since the baseline.",
    "no_new_causes": "Causes of lost accuracy, proved by their repair, that the baseline does not have.",
    "forbid": "A finding that the gate forbids.",
    "evidence": "The stored result could not be read.",
}

_FLOORS = ("min_accuracy", "min_metric", "min_sqnr", "min_layer_sqnr")
_ON_CHANGE = ("baseline_drop", "baseline_flips", "baseline_metric", "baseline_sqnr")


def check_title(check: GateCheck) -> str:
    """What was checked: `local SQNR of blocks.0.dw`."""
    title = RULE_TITLES[check.rule]
    if check.criterion is not None:
        title = _TITLES[check.rule].format(check.criterion.name)
    if check.layer is not None:
        return f"{title} of {layer_named(check.layer)}"
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
        return "" if math.isnan(check.warn_limit) else f"warn {sign}{space}{_amount(check, check.warn_limit)}"
    warn = "" if math.isnan(check.warn_limit) else f", warn {_digits(check, check.warn_limit)}"
    return f"{sign}{space}{_amount(check, check.limit)}{warn}"


def figure_words(check: GateCheck, value: float) -> str:
    """`67.4 pp`, `3 layers`; empty for NaN."""
    if math.isnan(value):
        return ""
    if check.unit == "layers":
        return count_noun(int(value), "layer") if value else "none"
    return _amount(check, value)


def change_words(check: GateCheck) -> str:
    """`+0.4 pp`, `-1.2 dB`; empty without a baseline."""
    if math.isnan(check.change):
        return ""
    unit = "pp" if check.unit == "%" else check.unit
    size = f"{abs(check.change):.0f}" if check.unit == "layers" else _digits(check, abs(check.change))
    sign = "" if float(size) == 0.0 else "-" if check.change < 0.0 else "+"
    return f"{sign}{size} {unit}".strip()


def bounds_words(check: GateCheck) -> str:
    """`63.0 to 71.3`; empty without an interval."""
    if check.interval is None:
        return ""
    return f"{_digits(check, check.interval.low)} to {_digits(check, check.interval.high)}"


def _amount(check: GateCheck, value: float) -> str:
    return f"{_digits(check, value)} {check.unit}".rstrip()


def _digits(check: GateCheck, value: float) -> str:
    """As the figure is written elsewhere; a limit without a figure as it was given."""
    if check.criterion is None and not check.unit and math.isfinite(value):
        return f"{value:g}"
    return digits(check.criterion, value)


def samples_words(check: GateCheck) -> str:
    """`about 1,400 more samples would decide it`; empty where that is not known."""
    if check.samples_needed is None:
        return ""
    digits = max(0, len(str(check.samples_needed)) - 2)
    rounded = math.ceil(check.samples_needed / 10**digits) * 10**digits
    return f"about {rounded:,} more samples would decide it"


def detail_words(check: GateCheck) -> str:
    """Why, where, and what would decide it: what stands beside the figures."""
    parts = []
    if check.code is not None and check.status not in ("pass", "cannot_judge"):
        parts.append(cause_title(check.code))
    if check.reason:
        parts.append(check.reason)
    if check.places and check.layer is None:
        parts.append(f"in {layers_named(check.places)}")
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
    bounds = bounds_words(check)
    words += f" (95 %: {bounds})" if words and bounds else ""
    limit = limit_words(check)
    limit = "" if limit == "none" else f"limit {limit}" if limit else ""
    parts = [part for part in (words, limit, detail_words(check)) if part]
    return f"{check_title(check)}: {', '.join(parts)}" if parts else check_title(check)


def verdict_words(result: GateResult) -> str:
    """The whole gate in one sentence, and a second one where it passes over harm that nobody limits."""
    counted = [check for check in result.checks if check.status == result.status]
    share = f"{len(counted)} of {count_noun(len(result.checks), 'check')}"
    words = {
        "pass": f"The gate passed: {count_noun(len(result.checks), 'check')} held.",
        "warn": f"The gate passed with a warning, because {share} did not hold.",
        "undecided": f"The gate passed, but {share} could not be decided on so few samples.",
        "cannot_judge": f"The gate could not judge {share}.",
        "fail": f"The gate failed: {share} did not hold.",
    }[result.status]
    if result.harm is None or not result.is_harm_overlooked or result.exit_code != EXIT_PASSED:
        return words
    return f"{words} No limit looks at {noun(result.harm.criterion)}, though, which is beyond what counts as harm."


def harm_line(result: GateResult) -> str:
    """`harmed: the loss of top-1 is 67.4 pp (95 %: 63.0 to 71.3), and harm begins beyond 1.0 pp`.

    Empty where nothing says so.
    """
    harm = result.harm
    if harm is None or math.isnan(harm.limit):
        return ""
    state = RESERVED if harm.state == "healthy" and result.has_doubts else state_words(harm)
    line = f"{state}: {cost_words(harm)}"
    if not result.is_harm_overlooked:
        return line
    option = "--max-metric-drop" if harm.criterion is not None else "--min-sqnr"
    return f"{line}; no limit looks at it, {option} does"


def named_cause_words(cause: NamedCause) -> str:
    """`QD301 dead BatchNorm channels set the weight range (dw0, dw1 and 5 more): REPAIR, which recovers 56.4 pp`."""
    words = f"{cause.code} {cause_title(cause.code)}"
    if cause.layers:
        words += f" ({layers_named(cause.layers)})"
    if cause.is_new:
        words = f"new: {words}"
    if cause.repair is None:
        return words
    is_counted = not math.isnan(cause.recovered_task)
    back = gain_words(cause.criterion, cause.recovered_task) if is_counted else gain_words(None, cause.recovered_db)
    return f"{words}: {repair_title(cause.repair)}, which recovers {back}"


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
    are = "was" if rest == 1 else "were"
    tail = "all pass" if passing == rest and rest > 1 else f"{passing} {'passes' if passing == 1 else 'pass'}"
    return shown, f"{count_noun(rest, 'more layer')} {are} checked: {tail}."
