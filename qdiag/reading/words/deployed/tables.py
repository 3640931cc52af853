"""A quantized file in its runtime as rows: what it answers, and layer by layer how its integers differ."""

import math
from dataclasses import dataclass

from qdiag.core.measures.deployed.edit import FileEdit
from qdiag.core.measures.deployed.verification import LayerAgreement, Verification
from qdiag.reading.words.deployed.edits import change_words
from qdiag.reading.words.deployed.verification import percent_words, reason_of
from qdiag.reading.words.numbers import with_unit
from qdiag.reading.words.task.figures import value_words

FIGURE_HEADER = ("figure", "float", "simulated", "deployed")
LAYER_HEADER = ("layer", "differing", "largest difference", "integers", "tensor of the file", "why they may differ")
_NOTHING = "\N{EN DASH}"


@dataclass(frozen=True, slots=True)
class LayerLine:
    """One layer: by its names in the network and in the file, three figures, and why its integers may differ."""

    layer: str
    tensor: str
    figures: tuple[str, str, str]
    reason: str


def figure_lines(run: Verification) -> tuple[tuple[str, str, str, str], ...]:
    """Every figure of the task, and the output SQNR, of the float network, the simulation and the file."""
    rows = []
    for simulated, deployed in zip(run.simulated_task.figures, run.deployed_task.figures, strict=True):
        criterion = simulated.criterion
        name = f"{criterion.name} with float" if criterion.is_against_float else criterion.name
        own = _NOTHING if criterion.is_against_float else value_words(criterion, simulated.reference)
        ours, theirs = (value_words(criterion, one.simulated) for one in (simulated, deployed))
        rows.append((name, own, ours, theirs))
    both = (run.simulated_sqnr_db, run.deployed_sqnr_db)
    ours, theirs = (_NOTHING if math.isnan(value) else with_unit(value, "dB", 2) for value in both)
    return (*rows, ("output SQNR", _NOTHING, ours, theirs))


def layer_lines(run: Verification) -> tuple[LayerLine, ...]:
    """Those that differ most first; equal ones in the order of the graph."""
    ordered = sorted(run.layers, key=lambda one: (-_share(one), -one.largest_steps))
    return tuple(LayerLine(one.layer, one.tensor, _figures(one), reason_of(one)) for one in ordered)


def edit_rows(edits: tuple[FileEdit, ...]) -> tuple[tuple[str, str, str, str], ...]:
    """Every tensor that has to change."""
    return tuple((edit.layer, edit.kind, edit.tensor, change_words(edit)) for edit in edits)


def _share(one: LayerAgreement) -> float:
    return one.differing_percent if one.count else 0.0


def _figures(one: LayerAgreement) -> tuple[str, str, str]:
    steps = "" if not one.largest_steps else "1 step" if one.largest_steps == 1 else f"{one.largest_steps} steps"
    return percent_words(_share(one)), steps or "none", f"{one.count:,}"
