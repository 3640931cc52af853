"""What one batch shows about the task of a network, and what is said where no output fits it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch import Tensor

from qdiag.batches import Batches
from qdiag.capture.program import Runner
from qdiag.errors import ConfigError
from qdiag.simulate.passes.network import Network
from qdiag.simulate.task.choice.hints import Output, outputs_of
from qdiag.simulate.task.choice.label_values import LabelValues, values_of_all
from qdiag.targets import TargetKind, kind_of_targets, shape_of_targets


@dataclass(frozen=True)
class Seen:
    """What one batch shows.

    Attributes:
        outputs: of the float network that may be judged. values: what all outputs give for the batch.
        others: float outputs that were not asked for.
        labels: of the batch; None without any.
        label_values: of all samples; asked for only where they decide, because every batch is looked at.
    """

    outputs: Sequence[Output]
    labels: Any
    label_values: Callable[[], LabelValues]
    kind_of_labels: TargetKind
    values: tuple[Any, ...] = ()
    others: Sequence[Output] = ()


def what_is_seen(network: Network, batches: Batches) -> Seen:
    """The outputs of the float network for the first batch, and the labels beside it."""
    batch = next(iter(batches))
    with torch.inference_mode():
        placed = network.placed(batch)
        values = Runner(network.program)(placed.args, placed.kwargs)
    return Seen(
        outputs_of(network, values, batch.sample_count),
        batch.labels,
        cache(lambda: values_of_all(batches)),
        kind_of_targets(batch.labels),
        tuple(values),
    )


def named_output(outputs: Sequence[Output], name: str) -> Output:
    """The output of that name.

    Raises:
        ConfigError: no output has it.
    """
    for output in outputs:
        if output.name == name:
            return output
    raise ConfigError(f"no float output is called {name!r}", at="`output`", hint=f"the outputs are {_listed(outputs)}")


def no_fit(seen: Seen, kind: str | None = None) -> ConfigError:
    """The labels fit no output, or none has the task asked for: the outputs are listed with their shapes."""
    labels = ""
    if seen.kind_of_labels == "classes":
        values = seen.label_values()
        labels = f"class numbers from {int(values.low)} to {int(values.high)}"
    else:
        labels = _words_of(seen.labels, seen.kind_of_labels)
    what = f"no output fits the task {kind}" if kind else f"the labels, {labels}, fit no output"
    way = "choose the task with `task` and the output with `output`, or give a metric of your own with `metric`"
    if seen.kind_of_labels == "boxes":
        way = (
            "the float network has to find some of the true boxes of the first batch, which are x0, y0, x1, y1 in the "
            "unit of its own boxes, with classes counted from 0; or give a metric of your own with `metric`"
        )
    hint = f"the outputs are {_listed(seen.outputs)}; {way}"
    if seen.kind_of_labels == "mask" and not kind:
        hint = f"the largest class in the masks is {seen.label_values().highest_class}; {hint}"
    return ConfigError(what, at="`task`", hint=hint)


def _listed(outputs: Sequence[Output]) -> str:
    return ", ".join(f"{o.name} {_shape_of(o.shape)}" for o in outputs) or "no float tensors"


def _words_of(labels: Any, kind: TargetKind) -> str:
    """Kind and shape without the number of samples, of which one batch shows but a part."""
    if isinstance(labels, Tensor):
        return f"{kind} {_shape_of(labels.shape[1:])}"
    return kind if kind in ("texts", "boxes") else shape_of_targets(labels)


def _shape_of(sample: Sequence[int]) -> str:
    return str(("N", *sample)).replace("'", "")
