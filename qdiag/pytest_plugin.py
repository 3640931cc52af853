"""A gate inside pytest: `assert_quantizes(model, data, max_drop=1.0)`, as a function and as a fixture.

Installed with `qdiag` (entry point `pytest11`). Nothing heavy is imported before the first measurement.
"""

import warnings
from collections.abc import Callable, Mapping
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from qdiag.core.gate import GateResult
    from qdiag.core.measures.task import TaskKind
    from qdiag.core.scheme import QuantScheme

_WEAKEST_SHOWN = 5


def assert_quantizes(
    model: Any,
    data: Any,
    *,
    max_drop: float | str | EllipsisType | None = ...,
    scheme: "QuantScheme | str" = "int8",
    calibration: Any = None,
    max_relative_drop: float | str | None = None,
    min_accuracy: float | str | None = None,
    max_flips: float | str | None = None,
    max_metric_drop: float | str | None = None,
    min_metric: float | str | None = None,
    max_metric: float | str | None = None,
    min_sqnr: float | None = None,
    min_layer_sqnr: float | None = None,
    allow: Mapping[str, float] | None = None,
    strict: bool = False,
    allow_few_samples: bool = False,
    device: str = "cpu",
    task: "TaskKind | None" = None,
    output: str | None = None,
    metric: object | None = None,
) -> "GateResult":
    """Measures the quantized network, and fails the test when it breaks a limit.

    Too few samples to tell: the test is skipped, with the number of samples that would do, because what was not decided
    has not passed; with `strict` it fails. So few that they cannot even exclude twice the limit are no evidence: it
    fails, unless `allow_few_samples` says otherwise. What cannot be judged (no labels for a limit on accuracy, NaN,
    nothing quantized) fails. A figure that is beyond what counts as harm, and that no limit looks at, is a warning.

    Args:
        model, data, calibration, scheme, device, task, output, metric: as in `qdiag.measure`; labels come as
            `(inputs, labels)`.
        max_drop: points of accuracy: top-1, mIoU, any share of right answers; 1 where no limit is given at all.
            Without labels, or where answers are numbers, give one of the limits below.
        max_relative_drop, min_accuracy, max_flips: in percent. min_sqnr, min_layer_sqnr: in dB.
        max_metric_drop: loss of the figure that judges the network, such as `metric`, in its unit; positive is worse,
            whatever its direction. min_metric: what it must reach, where higher is better. max_metric: what it must not
            exceed, where lower is better. Of a figure in percent a value between 0 and 1 is refused, because it may be
            meant as a fraction; "0.4%" says that it is not.
        allow: other limits than `min_layer_sqnr`, by glob patterns of layers.

    Returns:
        The checks, for further assertions.
    """
    __tracebackhide__ = True
    import qdiag
    from qdiag.config.gate_file import thresholds_of
    from qdiag.core.printable import printable
    from qdiag.errors import QdiagError
    from qdiag.gate.evidence import GateEvidence
    from qdiag.gate.judge import judge

    limits: dict[str, Any] = {
        "max_relative_drop": max_relative_drop,
        "min_accuracy": min_accuracy,
        "max_flips": max_flips,
        "max_metric_drop": max_metric_drop,
        "min_metric": min_metric,
        "max_metric": max_metric,
        "min_sqnr": min_sqnr,
        "min_layer_sqnr": min_layer_sqnr,
    }
    if isinstance(max_drop, EllipsisType):
        max_drop = 1.0 if all(limit is None for limit in limits.values()) else None
    limits |= {"max_drop": max_drop, "allow": allow, "strict": strict, "allow_few_samples": allow_few_samples}
    try:
        thresholds = thresholds_of(limits, "assert_quantizes")
        measurement = qdiag.measure(
            *(model, data),
            scheme=scheme,
            calibration=calibration,
            device=device,
            task=task,
            output=output,
            metric=metric,
        )
        result = judge(GateEvidence(measurement.model.source, measurement), thresholds)
    except QdiagError as error:
        hint = f"\nhint: {error.hint}" if error.hint else ""
        words = printable(f"the quantized network could not be judged: {error}{hint}", lines=True)
        pytest.fail(words, pytrace=False)
    if result.status in ("fail", "cannot_judge"):
        pytest.fail(_message(result), pytrace=False)
    if result.status == "undecided":
        pytest.skip(_message(result))
    if result.is_harm_overlooked:
        warnings.warn(_harm(result), stacklevel=2)
    return result


@pytest.fixture(name="assert_quantizes", scope="session")
def assert_quantizes_fixture() -> "Callable[..., GateResult]":
    """`qdiag.pytest_plugin.assert_quantizes`, without an import."""
    return assert_quantizes


def _message(result: "GateResult") -> str:
    from qdiag.core.printable import printable
    from qdiag.reading.words.gate import STATUS_WORDS, check_sentence, shown_checks, verdict_words
    from qdiag.reading.words.numbers import decibel_words

    lines = [f"{result.source} under {result.scheme}: {verdict_words(result)}"]
    checks, _ = shown_checks(result)
    lines += [f"  {STATUS_WORDS[check.status]}: {check_sentence(check)}" for check in checks if check.status != "pass"]
    if result.weakest:
        figures = [f"{figure.layer} {decibel_words(figure.local_db)}" for figure in result.weakest[:_WEAKEST_SHOWN]]
        lines.append(f"  weakest layers, local SQNR: {', '.join(figures)}")
    return "\n".join(map(printable, lines))


def _harm(result: "GateResult") -> str:
    from qdiag.core.printable import printable
    from qdiag.reading.words.gate import harm_line

    return printable(f"{result.source} under {result.scheme}, {harm_line(result)}")
