"""What repairs a network of Python objects, which no command can name: calls of the package, ready to be pasted."""

import math
from collections.abc import Sequence

from qdiag.core.causes.ranking import Ranking, Trial
from qdiag.core.causes.repair import FLOAT_BOUND
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.diagnosis import Diagnosis
from qdiag.reading.words.commands.file_names import changes_file, fixed_file
from qdiag.reading.words.commands.steps import Step, last_ones_last, steps_of

GIVEN = "# model, data and scheme are what qdiag.diagnose was given"
CALLS = ("qdiag.repair(", "qdiag.measure(", "qdiag.diagnose(")
_OBJECT = "module"
"""Format of a model that was an object."""


def is_of_objects(diagnosis: Diagnosis) -> bool:
    """The model or the data were Python objects; what a command line measured has its options."""
    measurement = diagnosis.measurement
    has_object_data = not measurement.data.is_data_free and measurement.data.source.isidentifier()
    return not diagnosis.options and (measurement.model.format == _OBJECT or has_object_data)


def is_call(line: str) -> bool:
    """A line of Python, and not of a shell."""
    return line.startswith(CALLS) or line == GIVEN


def repair_calls(ranking: Ranking) -> tuple[str, ...]:
    """Repairs of weights in one call, written as a file, and changes of the plan in another; empty without any."""
    steps = last_ones_last(steps_of(ranking))
    known = [step for step in steps if step.repair in TRAITS]
    written = [step for step in known if TRAITS[step.repair].why_not_written is None]
    by_hand = [step for step in known if TRAITS[step.repair].in_code is not None]
    settings = tuple(dict.fromkeys(value for step in steps if step not in written for value in step.settings))
    lines = [f"# no call can write this: {_in_code(step)}" for step in by_hand]
    if written:
        is_program = any(TRAITS[step.repair].writes == "graph" for step in written)
        bound = max(map(_needed_bound, written))
        room = [f"float_bound={bound:g}"] if bound > FLOAT_BOUND else []
        names = [step.repair for step in written]
        words = [
            "model",
            "data",
            str(names),
            "scheme=scheme",
            *room,
            f'output="fixed{".pt2" if is_program else ".pt"}"',
        ]
        lines.append(f"qdiag.repair({', '.join(words)})")
    if settings:
        lines.append(_measuring(settings))
    return (GIVEN, *lines) if lines else ()


def file_calls(diagnosis: Diagnosis) -> tuple[str, ...]:
    """What writes a repaired quantized file, and what measures it; that alone where it was written already."""
    file = diagnosis.measurement.deployed
    if file is None or not changes_file(diagnosis.ranking):
        return ()
    target = diagnosis.repaired_file or fixed_file(file.source)
    check = f"qdiag.measure(model, data, quantized={target!r})"
    if diagnosis.repaired_file:
        return (GIVEN, check)
    return (GIVEN, f"qdiag.diagnose(model, data, quantized={file.source!r}, repaired={target!r})", check)


def change_calls(trial: Trial) -> tuple[str, ...]:
    """How to measure a change of scheme by itself; empty where no setting makes it so."""
    return (GIVEN, _measuring(trial.settings)) if trial.settings else ()


def _measuring(settings: Sequence[str]) -> str:
    return f"qdiag.measure(model, data, scheme=scheme, overrides={list(settings)})"


def _in_code(step: Step) -> str:
    in_code = TRAITS[step.repair].in_code
    return in_code[1] if in_code is not None else ""


def _needed_bound(step: Step) -> float:
    """Twice what the repair was seen to do to the float output; all of it where it is made for one scheme."""
    if TRAITS[step.repair].must_be_last:
        return 1.0
    moved = step.cost.relative_delta if step.cost is not None and math.isfinite(step.cost.relative_delta) else 0.0
    return float(f"{2.0 * moved:.1g}")
