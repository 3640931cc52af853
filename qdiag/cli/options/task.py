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
            "--task", help="What the network does, where labels and names do not say it; none: judge by SQNR alone."
        ),
    ] = None
    judged_output: Annotated[
        str | None, task_option("--output", metavar="NAME", help="The output that is judged, where there are several.")
    ] = None
    metric: Annotated[
        str | None,
        task_option(
            "--metric",
            metavar="./FILE.py:FN",
            help="Your own figure, by which the network is judged: fn(outputs, targets), or a class with update and "
            "compute; or torchmetrics.NAME(key=value).",
        ),
        Reads(),
    ] = None
    metric_direction: Annotated[
        Literal["higher", "lower"] | None,
        task_option("--metric-direction", help="Which values of --metric are better; higher unless it says so."),
    ] = None
    metric_limit: Annotated[
        float | None,
        task_option(
            "--metric-limit", metavar="X", min=0.0, help="Loss of --metric that is harm; 1 % of float by default."
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
                    raise ConfigError(f"--metric-{name} without --metric", hint="give --metric ./FILE.py:FN")
            return TaskRequest(self.task, self.judged_output)
        higher = None if self.metric_direction is None else self.metric_direction == "higher"
        return TaskRequest(
            self.task, self.judged_output, MetricRequest(load_metric(self.metric), higher, self.metric_limit)
        )
