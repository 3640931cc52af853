"""`qdiag.repair`: repairs of the weights, proved and written, from Python."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from qdiag.capture.state import own_randomness
from qdiag.core.causes.repair import FLOAT_BOUND, ModelRepair
from qdiag.core.measures.task import TaskKind
from qdiag.core.progress import Progress
from qdiag.core.scheme import QuantScheme
from qdiag.errors import telling_hints
from qdiag.pipeline.preparation.given import Data, Model, datasets_of, request_of, scheme_of, subject_of
from qdiag.pipeline.repair import RepairOptions, repair_model
from qdiag.savers.save import save_subject
from qdiag.simulate.session import open_session


def repair(
    model: Model,
    batches: Data,
    repairs: str | Sequence[str],
    *,
    output: str | Path | None = None,
    scheme: QuantScheme | str = "tf-uint8",
    calibration: Data | None = None,
    layers: Sequence[str] = (),
    float_bound: float = FLOAT_BOUND,
    device: str = "cpu",
    task: TaskKind | None = None,
    judged_output: str | None = None,
    metric: object | None = None,
    preset: str | None = None,
    arch: str | None = None,
    trust: bool = False,
    force: bool = False,
    seed: int = 0,
    progress: Progress | None = None,
) -> ModelRepair:
    """Repairs weights on a copy, measures what that does, and writes the repaired model: what `qdiag repair` does.

    The model itself is left as it was.

    Args:
        model, batches, calibration, device, task, metric, preset, arch, trust: as in `qdiag.measure`; `judged_output`
            is its `output`.
        repairs: a name or several, in the order in which they are made: `equalize`, ... (docs/repair.md).
        output: where the repaired model goes, in the format that was read; without it, nothing is written.
        layers: glob patterns of layers with weights; all without them.
        float_bound: what moves a float output by more than this share of its largest value is refused.
        force: replace a file at `output`.

    Raises:
        QdiagError: something cannot be used or written; says what, where and what to do.
    """
    options = RepairOptions((repairs,) if isinstance(repairs, str) else tuple(repairs), tuple(layers))
    options = replace(options, float_bound=float_bound)
    with telling_hints(), open_session(device=device, progress=progress, seed=seed) as session, own_randomness():
        subject = subject_of(model, arch=arch, trust=trust)
        datasets = datasets_of(batches, calibration, preset)
        request = request_of(task, judged_output, metric)
        found, changes = repair_model(session, subject, datasets, scheme_of(scheme), options, request)
        if output is None or not changes:
            return found
        save_subject(subject, changes, output, trust=trust, force=force)
        return replace(found, written_to=str(output))
