"""The options of the task that measuring commands share."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

from qdiag.cli.options.panels import task_option
from qdiag.cli.options.roles import Reads
from qdiag.core.measures.task import TaskKind
from qdiag.errors import ConfigError

if TYPE_CHECKING:
    from qdiag.simulate.task.choice.choose import TaskRequest


@dataclass(frozen=True)
class TaskOptions:
    """The panel `Task`."""

    task: Annotated[
        TaskKind | None,
        task_option(
            "--task",
            help="Say what the network does, where labels and names do not tell it. none judges it by SQNR alone.",
        ),
    ] = None
    judged_output: Annotated[
        str | None, task_option("--output", metavar="NAME", help="Judge this output, where there are several.")
    ] = None
    metric: Annotated[
        str | None,
        task_option(
            "--metric",
            metavar="./FILE.py:FN",
            help="Judge the network by a metric of your own. It is fn(outputs, targets), a class with update and "
            "compute, or torchmetrics.NAME(key=value).",
        ),
        Reads(),
    ] = None
    metric_direction: Annotated[
        Literal["higher", "lower"] | None,
        task_option(
            "--metric-direction",
            help="Say which values of --metric are better, where the metric itself does not say it.",
        ),
    ] = None
    metric_limit: Annotated[
        float | None,
        task_option(
            "--metric-limit",
            metavar="X",
            min=0.0,
            help="Take a loss of --metric above this limit as harm. Unless set, it is 1 % of the float network's "
            "value.",
        ),
    ] = None

    @property
    def request(self) -> "TaskRequest":
        """What the user says about the task.

        Raises:
            QdiagError: the metric cannot be read, or its direction or limit is given without it.
        """
        from qdiag.loaders.metric_ref import load_metric
        from qdiag.simulate.task.choice.choose import TaskRequest
        from qdiag.simulate.task.user import MetricRequest

        if self.metric is None:
            for name, value in (("direction", self.metric_direction), ("limit", self.metric_limit)):
                if value is not None:
                    raise ConfigError(f"--metric-{name} needs --metric", hint="give --metric ./FILE.py:FN")
            return TaskRequest(self.task, self.judged_output)
        higher = None if self.metric_direction is None else self.metric_direction == "higher"
        return TaskRequest(
            self.task, self.judged_output, MetricRequest(load_metric(self.metric), higher, self.metric_limit)
        )
