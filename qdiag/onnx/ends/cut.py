"""A list of operations cut before those that give as many results as the data has, such as non-maximum suppression."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from qdiag.core.listed import listed
from qdiag.core.measures.measurement import LeftOut
from qdiag.errors import LoadError

Value = TypeVar("Value")
_SHOWN = 4


@dataclass(frozen=True)
class Step(Generic[Value]):
    """One operation of a file, as far as a cut has to know it.

    Attributes:
        kind, name: as the file has them.
        reads, gives: values.
        is_end: how many results it gives depends on the data.
        is_move: it gives the values of what it reads first, in another shape, order or number format.
        is_sample: it takes the only sample out of what it reads first: the axis of samples is gone.
        is_size: it reads sizes alone, which do not depend on values.
        weights: what it multiplies with, which makes it a layer where the file holds that.
    """

    kind: str
    name: str
    reads: tuple[Value, ...]
    gives: tuple[Value, ...]
    is_end: bool = False
    is_move: bool = False
    is_sample: bool = False
    is_size: bool = False
    weights: tuple[Value, ...] = ()

    @property
    def shown(self) -> str:
        """`NonMaxSuppression (nms)`."""
        return f"{self.kind} ({self.name})"


@dataclass(frozen=True)
class Cut(Generic[Value]):
    """What is left out of a network, and what it gives instead.

    Attributes:
        left_out: the operations, in the order of the file. gone: the values that they give.
        outputs: those of the file that stay, and what was read where the network is cut.
    """

    left_out: tuple[LeftOut, ...]
    gone: frozenset[Value]
    outputs: tuple[Value, ...]


def cut(
    steps: Sequence[Step[Value]], inputs: Collection[Value], outputs: Sequence[Value], floats: Collection[Value]
) -> Cut[Value] | None:
    """The cut before the first operations whose number of results depends on the data; None without any.

    Everything that depends on them is left out. What was read there and is computed from the inputs in floating point
    becomes an output, with its axis of samples; of values that are the same in another shape or order, the first one.

    Args:
        steps: in the order in which they are computed, without those that lead to no output.
        floats: values in floating point, or in integers that stand for such numbers.

    Raises:
        LoadError: layers with weights stand behind the cut, or nothing is left before it.
    """
    left_out, behind = list[LeftOut](), list[Step[Value]]()
    gone, made, from_data = set[Value](), set[Value](), set(inputs)
    origins = dict[Value, _Origin[Value]]()
    for step in steps:
        is_behind = any(value in gone for value in step.reads)
        is_sampled = any(value in from_data for value in step.reads)
        if is_behind or (step.is_end and is_sampled):
            left_out.append(LeftOut(step.kind, step.name, not is_behind))
            behind.append(step)
            gone.update(step.gives)
            continue
        made.update(step.gives)
        origins.update((value, _origin(step, value, origins)) for value in step.gives)
        if is_sampled and not step.is_size:
            from_data.update(step.gives)
    if not behind:
        return None
    _check_weights(behind, from_data | gone)
    computed = made & from_data
    kept = [output for output in outputs if output in from_data]
    taken = {origins[value].value if value in origins else value for value in kept}
    found = dict[Value, _Origin[Value]]()
    for value in (value for step in behind for value in step.reads if value in computed and value in floats):
        own = origins.get(origins[value].whole)
        if own is None or own.value not in computed or own.value in taken:
            continue
        if own.value not in found or own.depth < found[own.value].depth:
            found[own.value] = own
    if not found and not taken & computed:
        raise LoadError(
            f"nothing is left before {behind[0].shown}, which chooses among the inputs of the network",
            hint="give the network whose results it chooses from",
        )
    given = (*dict.fromkeys(kept), *(origin.whole for origin in found.values()))
    return Cut(tuple(left_out), frozenset(gone), given)


@dataclass(frozen=True)
class _Origin(Generic[Value]):
    """What a value is another shape or order of.

    Attributes:
        value: that value. depth: how many operations stand between.
        whole: the last one on the way that has its axis of samples.
    """

    value: Value
    depth: int
    whole: Value


def _origin(step: Step[Value], value: Value, known: Mapping[Value, _Origin[Value]]) -> _Origin[Value]:
    if not (step.is_move or step.is_sample) or not step.reads:
        return _Origin(value, 0, value)
    source = step.reads[0]
    before = known.get(source, _Origin(source, 0, source))
    has_samples = before.whole == source and not step.is_sample
    return _Origin(before.value, before.depth + 1, value if has_samples else before.whole)


def _check_weights(behind: Sequence[Step[Value]], computed: Collection[Value]) -> None:
    layers = [step for step in behind if any(weight not in computed for weight in step.weights)]
    if layers:
        raise LoadError(
            f"layers with weights stand behind {behind[0].shown}: {listed([one.shown for one in layers], _SHOWN)}",
            hint="how many values they get depends on the data, which is not measured: cut the file into the part "
            "before and the part behind, for ONNX with onnx.utils.extract_model, and measure each by itself",
        )
