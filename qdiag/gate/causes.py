"""Thresholds on findings and causes: forbidden codes, and causes that the baseline does not have."""

from collections.abc import Iterator

from qdiag.core.baseline import Baseline
from qdiag.core.causes.ranking import RankedCause, Ranking, Verdict
from qdiag.core.gate import GateCheck, GateStatus, NamedCause
from qdiag.core.thresholds import Thresholds
from qdiag.reading.told import told_proof

NO_RANKING = "the stored result is a measurement: causes need a diagnosis"


def forbidden_checks(ranking: Ranking | None, thresholds: Thresholds) -> Iterator[GateCheck]:
    """One check for every code that is forbidden, or warned of.

    A finding counts unless its repair was measured and recovered nothing (`harmless`). Where that measurement could not
    decide, neither does the check; a finding that nothing here can repair counts.
    """
    for codes, level in ((thresholds.forbid, "fail"), (thresholds.warn_codes, "warn")):
        for code in codes:
            if ranking is None:
                yield GateCheck("forbid", "cannot_judge", "layers", code=code, reason=NO_RANKING)
            else:
                yield _forbidden(ranking, code, level == "fail")


def new_cause_check(ranking: Ranking | None, baseline: Baseline | None, thresholds: Thresholds) -> GateCheck | None:
    """Claimed causes at layers where the baseline has none of that code; None when nobody asked."""
    if thresholds.no_new_causes == "off":
        return None
    reason = NO_RANKING if ranking is None else "" if baseline is not None else NO_BASELINE
    if baseline is not None and baseline.causes is None and not reason:
        reason = (
            "the baseline was made from a measurement, without causes: write it again with `update_baseline` `accept`"
        )
    if ranking is None or reason:
        return GateCheck("no_new_causes", "cannot_judge", "layers", reason=reason)
    new = [cause for cause in named_causes(ranking, baseline) if cause.is_new]
    known = _known(baseline)
    places = [layer for cause in new for layer in cause.layers if (cause.code, layer) not in known]
    before = sum(len(cause.layers) for cause in (baseline.causes if baseline and baseline.causes else ()))
    now = sum(len(cause.layers) for cause in ranking.claimed)
    status: GateStatus = "pass" if not new else "fail" if thresholds.no_new_causes == "fail" else "warn"
    return GateCheck(
        "no_new_causes",
        status,
        "layers",
        limit=0.0,
        value=float(now),
        baseline=float(before),
        change=float(now - before),
        places=tuple(dict.fromkeys(places)),
        reason=", ".join(dict.fromkeys(cause.code for cause in new)),
    )


def named_causes(ranking: Ranking, baseline: Baseline | None) -> tuple[NamedCause, ...]:
    """Claimed causes in order of rank, and which of them are new."""
    known = _known(baseline)
    has_causes = baseline is not None and baseline.causes is not None
    named = []
    for cause in ranking.claimed:
        best, recovery = told_proof(ranking, cause) or (None, None)
        named.append(
            NamedCause(
                cause.code,
                cause.layers,
                best.repair if best else None,
                recovery.recovered_task if recovery else float("nan"),
                recovery.recovered_db if recovery else float("nan"),
                has_causes and any((cause.code, layer) not in known for layer in cause.layers),
                ranking.criterion,
            )
        )
    return tuple(named)


NO_BASELINE = "no baseline: give `baseline=FILE`; `update_baseline` writes one"


def _forbidden(ranking: Ranking, code: str, is_failure: bool) -> GateCheck:
    verdicts: dict[str, Verdict] = {}
    for finding in ranking.findings:
        if finding.code == code:
            verdicts.update(dict.fromkeys(finding.layers or ("",), "untested"))
    for cause in sorted(ranking.causes, key=lambda cause: _GRAVITY[cause.verdict]):
        verdicts.update(dict.fromkeys(_layers_with(cause, code), cause.verdict))
    counting = {layer: verdict for layer, verdict in verdicts.items() if verdict != "harmless"}
    certain = [layer for layer, verdict in counting.items() if verdict != "undecided"]
    status: GateStatus = "pass"
    if certain:
        status = "fail" if is_failure else "warn"
    elif counting:
        status = "undecided" if is_failure else "warn"
    reason = "its repair could not be told from noise on so few samples" if status == "undecided" else ""
    if not counting and verdicts:
        reason = f"found in {len(verdicts)} layer{'' if len(verdicts) == 1 else 's'}, measured as harmless"
    places = tuple(layer for layer in (certain or counting) if layer)
    return GateCheck(
        "forbid",
        status,
        "layers",
        limit=0.0,
        value=float(len(counting)),
        code=code,
        places=places,
        reason=reason,
    )


_GRAVITY: dict[Verdict, int] = {"harmless": 0, "undecided": 1, "untested": 2, "fused": 3, "cause": 4}
"""Of two verdicts on one layer, the graver one is told."""


def _layers_with(cause: RankedCause, code: str) -> list[str]:
    layers = list(cause.layers) if cause.code == code else []
    return layers + [layer for finding in cause.findings if finding.code == code for layer in finding.layers]


def _known(baseline: Baseline | None) -> set[tuple[str, str]]:
    causes = baseline.causes if baseline is not None else None
    return {(cause.code, layer) for cause in causes or () for layer in cause.layers}
