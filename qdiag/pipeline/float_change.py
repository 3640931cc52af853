"""Edits that the float network can bear: the others are found by halving, and refused."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby

from torch import Tensor

from qdiag.batches import Batch, Batches, run_through
from qdiag.core.causes.repair import FloatChange
from qdiag.pipeline.float_probe import FloatProbe, Outputs, deltas, largest_values, relative
from qdiag.repairs.edit import ChannelEdit, changed_tensors
from qdiag.simulate.passes.pass_cache import Codec
from qdiag.simulate.passes.pass_values import json_codec
from qdiag.simulate.session import Session
from qdiag.simulate.task.output_errors import OutputErrors
from qdiag.simulate.task.tasks import Tasks, TaskSink

_WORST_BATCHES = 4
"""Batches on which the edits that moved the output are looked for."""


@dataclass(frozen=True)
class Kept:
    """Edits that stay, what they do to the float output, and how far each refused one moved it beyond them."""

    edits: tuple[ChannelEdit, ...]
    change: FloatChange
    refused: dict[tuple[str, int], float] = field(default_factory=dict)


@dataclass(frozen=True)
class _Pass:
    change: FloatChange
    scale: tuple[float, ...]
    offenders: tuple[int, ...]
    """Positions of the batches that moved beyond the bound, the worst few."""


_PASS: Codec[_Pass] = json_codec(_Pass)


def keep_within(
    session: Session,
    probe: FloatProbe,
    batches: Batches,
    edits: Sequence[ChannelEdit],
    bound: float,
    *,
    base: Mapping[str, Tensor],
) -> Kept:
    """The edits that together move no float output by more than `bound` times its largest value.

    All are tried at once; only when that is too much are they halved, layer by layer and then channel by channel, on
    the batches that moved most. What is kept is run on all batches again, so the bound holds for all of them.

    Args:
        base: changes that have been made before, by name of the tensor.
    """
    kept, refused = tuple(edits), dict[tuple[str, int], float]()
    seen = _pass(session, probe, batches, _with_edits(probe, base, kept), bound)
    trial: set[int] = set()
    while seen.change.relative_delta > bound and kept:
        trial.update(seen.offenders)
        with session.untimed_stage("look for channels that cannot be repaired"):
            search = _Search(probe, [b for i, b in enumerate(batches) if i in trial], seen.scale, bound, base)
            remaining = search.bearable(kept)
        if len(remaining) == len(kept):  # rounding that differs between passes: nothing can be blamed
            refused.update({(e.layer, e.channel): seen.change.relative_delta for e in kept})
            remaining = ()
        refused.update(search.refused)
        kept = remaining
        seen = _pass(session, probe, batches, _with_edits(probe, base, kept), bound)
    return Kept(kept, seen.change, refused)


def float_change(session: Session, probe: FloatProbe, batches: Batches, changes: Mapping[str, Tensor]) -> FloatChange:
    """What new values for some tensors do to the float network: all batches once.

    Args:
        changes: by parameter or buffer name.
    """
    return _pass(session, probe, batches, changes, 0.0).change


def _with_edits(probe: FloatProbe, base: Mapping[str, Tensor], edits: Sequence[ChannelEdit]) -> dict[str, Tensor]:
    return {**base, **changed_tensors({**probe.tensors, **base}, edits)}


def _pass(session: Session, probe: FloatProbe, batches: Batches, changes: Mapping[str, Tensor], bound: float) -> _Pass:
    """All batches once, or what is kept of it: what changed, and the batches that changed most."""

    def look() -> _Pass:
        return _look(probe.run(run_through(batches, session.progress, "float outputs"), changes), probe.tasks, bound)

    if probe.tasks.key is None:
        return look()
    return session.passes.finished(
        "float outputs",
        _PASS,
        look,
        batches=[batches],
        depends_on=(probe.program, changes, bound, repr(probe.tasks.key)),
    )


def _look(passing: Iterator[Outputs], tasks: Tasks, bound: float) -> _Pass:
    errors: OutputErrors | None = None
    task = TaskSink(tasks)
    moved: list[list[float]] = []
    delta: list[float] = []
    scale: list[float] = []
    for outputs in passing:
        errors = errors or OutputErrors(_names(len(outputs.before)))
        for sink in (errors, task):
            sink.add(outputs.batch, reference=outputs.before, simulated=outputs.after)
        here, largest = deltas(outputs), largest_values(outputs.before)
        delta = [max(a, b) for a, b in zip(delta, here, strict=True)] if delta else here
        scale = [max(a, b) for a, b in zip(scale, largest, strict=True)] if scale else largest
        moved.append(here)
    change = FloatChange(errors.records() if errors else (), task.result(), relative(delta, scale))
    ratios = [relative(here, scale) for here in moved]
    worst = sorted((i for i, ratio in enumerate(ratios) if ratio > bound), key=lambda i: -ratios[i])
    return _Pass(change, tuple(scale), tuple(worst[:_WORST_BATCHES]))


@dataclass
class _Search:
    """Adds edits group by group to those that are known to be bearable."""

    probe: FloatProbe
    batches: Sequence[Batch]
    scale: Sequence[float]
    bound: float
    base: Mapping[str, Tensor]
    refused: dict[tuple[str, int], float] = field(default_factory=dict)

    def bearable(self, edits: Sequence[ChannelEdit]) -> tuple[ChannelEdit, ...]:
        """The largest set that halving finds, in the order given."""
        layers = [tuple(group) for _, group in groupby(edits, key=lambda edit: edit.layer)]
        return self._grow((), layers)

    def _grow(self, kept: tuple[ChannelEdit, ...], groups: list[tuple[ChannelEdit, ...]]) -> tuple[ChannelEdit, ...]:
        together = tuple(edit for group in groups for edit in group)
        moved = self._moved((*kept, *together))
        if moved <= self.bound:
            return (*kept, *together)
        if len(together) == 1:
            self.refused[together[0].layer, together[0].channel] = moved
            return kept
        if len(groups) == 1:
            groups = [(edit,) for edit in together]
        middle = len(groups) // 2
        return self._grow(self._grow(kept, groups[:middle]), groups[middle:])

    def _moved(self, edits: Sequence[ChannelEdit]) -> float:
        changes = _with_edits(self.probe, self.base, edits)
        found = [relative(deltas(outputs), self.scale) for outputs in self.probe.run(self.batches, changes)]
        return max(found, default=0.0)


def _names(count: int) -> tuple[str, ...]:
    return tuple(f"output{i}" for i in range(count)) if count > 1 else ("output",)


def too_much_words(moved: float, bound: float) -> str:
    """Of a change of the float output, as a share of its largest value, that is larger than the bound."""
    share = f"{100.0 * moved:.2g} %" if moved < 1.0 else f"{100.0 * moved:.0f} %"
    return f"it moves the float output by {share} of its largest value, more than {100.0 * bound:.2g} %"
