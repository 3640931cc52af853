"""The repaired plan in the words of another quantizer."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from qdiag.core.causes.repair import FLOAT_BOUND, RepairStep
from qdiag.core.causes.repair_traits import TRAITS
from qdiag.core.measures.deployed.settings import SettingsReport
from qdiag.exporters.settings.litert import litert_settings
from qdiag.exporters.settings.openvino import openvino_settings
from qdiag.exporters.settings.plain_plan import PlainPlan, plain_plan
from qdiag.exporters.settings.quantize_static import quantize_static_settings
from qdiag.exporters.settings.tensorrt import tensorrt_settings
from qdiag.pipeline.begin import Experiment
from qdiag.pipeline.export.repaired import WantedRepair, repaired_case
from qdiag.pipeline.preparation.inputs import naming
from qdiag.simulate.session import Session
from qdiag.simulate.surroundings import versions

Tool = Literal["quantize_static", "tensorrt", "openvino", "litert"]
SETTINGS: Mapping[Tool, Callable[[PlainPlan], str]] = {
    "quantize_static": quantize_static_settings,
    "tensorrt": tensorrt_settings,
    "openvino": openvino_settings,
    "litert": litert_settings,
}


def settings_for(
    session: Session,
    experiment: Experiment,
    tool: Tool,
    repairs: Sequence[WantedRepair] = (),
    *,
    float_bound: float = FLOAT_BOUND,
) -> tuple[str, SettingsReport]:
    """The text of the file, and the report; the experiment is left as it was.

    Raises:
        ConfigError: a format that the tool has not, a name that it cannot hold, or a repair that is unknown.
    """
    with session.watch.stage("repair"), naming(experiment.datasets.evaluation):
        case, steps = repaired_case(session, experiment, repairs, float_bound=float_bound)
    plan = plain_plan(case.network, case.plan)
    report = SettingsReport(
        model=experiment.model,
        data=experiment.data,
        scheme=case.scheme,
        capture=experiment.capture,
        tool=tool,
        in_float=plan.in_float,
        range_count=len(plan.ranges) if tool == "quantize_static" else 0,
        has_file_names=plan.has_file_names,
        repairs=steps,
        not_told=_not_told(steps, tool, plan),
        stages=session.watch.stages,
        versions=versions(),
    )
    return SETTINGS[tool](plan), report


def _not_told(steps: Sequence[RepairStep], tool: Tool, plan: PlainPlan) -> tuple[str, ...]:
    """Repairs of the weights go into the model, and some of the plan have no place in the settings."""
    has_ranges = tool == "quantize_static" and bool(plan.ranges)
    told = ("format", "range") if has_ranges else ("format",)
    made = [step.repair for step in steps if step.refused is None]
    return tuple(name for name in made if TRAITS[name].setting not in told)
