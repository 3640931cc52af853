"""`qdiag fold`: where each BatchNorm goes, what that does to the float output, and which clamps share a quantizer."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from qdiag.batches import Batches, Datasets, run_through
from qdiag.batchnorms.of_program import sites_of_pairs
from qdiag.batchnorms.sites import NormSite
from qdiag.capture.fold import FoldResult, NormPair, fold_batchnorms
from qdiag.capture.layers import shown_operation
from qdiag.capture.program import Program
from qdiag.capture.rewrites.computed import fold_computed
from qdiag.core.graph import INPUT, OUTPUT
from qdiag.core.measures.folding import BatchNormFold, FoldReport, OutputDelta
from qdiag.core.scheme import QuantScheme
from qdiag.errors import ConfigError
from qdiag.numerics.batchnorm import batch_norm_affine
from qdiag.pipeline.begin import Experiment, begin
from qdiag.pipeline.folding.clamps import clamp_sites, worked_example
from qdiag.pipeline.folding.deltas import FoldDeltas, fold_deltas
from qdiag.pipeline.fusion.subject import changed_as_program
from qdiag.pipeline.preparation.inputs import first_batch, naming
from qdiag.simulate.passes.pass_cache import Codec
from qdiag.simulate.passes.pass_values import json_codec
from qdiag.simulate.session import Session
from qdiag.simulate.size import network_size
from qdiag.simulate.surroundings import versions
from qdiag.subject import Subject

_DELTAS: Codec[FoldDeltas] = json_codec(FoldDeltas)


@dataclass(frozen=True)
class FoldedNetwork:
    """What was found, and the folded network: a graph with its constants, and inputs that it takes."""

    report: FoldReport
    subject: Subject
    program: Program
    inputs: Batches


def fold_network(session: Session, subject: Subject, datasets: Datasets, scheme: QuantScheme) -> FoldedNetwork:
    """Folds every BatchNorm that can be folded exactly, and compares with the network as it was read.

    Args:
        subject: left as it is.
        datasets: the float outputs are compared on the measured part; clamps get their quantizers from the other.
        scheme: for the quantizers of the clamps. The BatchNorms are folded whatever it says of them.

    Raises:
        QdiagError: the model, the data or the scheme cannot be used; says what, where and what to do.
    """
    experiment = begin(session, subject, datasets, scheme)
    session.expect_passes(experiment.case, {"fold": 0.5, "float outputs": 2.0, "clamps": 0.5})
    case = experiment.case
    with session.watch.stage("fold"), torch.no_grad():
        program = fold_computed(case.program)
        result = fold_batchnorms(program)
    with session.watch.stage("float outputs"), naming(datasets.evaluation):
        moved = _deltas(session, experiment, program, result)
    with session.watch.stage("clamps"), torch.no_grad():
        clamps = clamp_sites(session, case)
    report = FoldReport(
        model=experiment.model,
        data=experiment.data,
        capture=experiment.capture,
        scheme=case.scheme,
        batchnorms=_records(program, result, moved),
        outputs=_outputs(program, moved),
        clamps=clamps,
        example=worked_example(),
        notes=_notes(case.scheme, result),
        size=network_size(case),
        stages=session.watch.stages,
        versions=versions(),
    )
    return FoldedNetwork(report, subject, result.program, case.calibration)


def folded_subject(session: Session, folded: FoldedNetwork) -> Subject:
    """The folded network as a `torch.export` program, its parameters under their names.

    Raises:
        ConfigError: it is a part of a network. CaptureError: no program can be made of it.
    """
    if folded.subject.submodule is not None:
        raise ConfigError("a part of a network is not written", at="`submodule`", hint="give the whole network")
    with session.stage("export"):
        example = first_batch(folded.inputs)
        return changed_as_program(folded.subject, folded.program, example, "BatchNorms folded")


def _deltas(session: Session, experiment: Experiment, program: Program, result: FoldResult) -> FoldDeltas:
    case = experiment.case

    def look() -> FoldDeltas:
        batches = run_through(case.measured, session.progress, "float outputs")
        return fold_deltas(program, result, map(case.network.placed, batches), case.network.device)

    return session.passes.finished(
        "fold outputs", _DELTAS, look, batches=[case.measured], depends_on=(program, result.program)
    )


def _records(program: Program, result: FoldResult, moved: FoldDeltas) -> tuple[BatchNormFold, ...]:
    nodes = {node.name: node for node in program.graph.nodes}
    folded = {node.name: node for node in result.program.graph.nodes}
    sites = zip(result.pairs, sites_of_pairs(program, result.pairs), strict=True)
    return tuple(
        _record(i, pair, site, nodes[pair.norm], _folded_weight(result.program, folded, pair), moved)
        for i, (pair, site) in enumerate(sites)
    )


def _record(
    index: int, pair: NormPair, site: NormSite, node: fx.Node, folded: Tensor | None, moved: FoldDeltas
) -> BatchNormFold:
    norm, layer = site.norm, site.layer
    low, high = math.nan, math.nan
    if norm.variance is not None:
        gain = batch_norm_affine(norm.gamma, None, torch.zeros_like(norm.variance), norm.variance, norm.eps).gain.abs()
        low, high = float(gain.min()), float(gain.max())
    here = moved.layers.get(pair.layer or "") if pair.kept is None else None
    return BatchNormFold(
        index=index,
        name=norm.name,
        call=site.call,
        call_count=site.call_count,
        channels=norm.channels,
        layer=site.pair,
        reads=_operation(node.args[0]),
        readers=tuple(dict.fromkeys(_operation(user) for user in node.users)),
        kept=pair.kept,
        gain_min_abs=low,
        gain_max_abs=high,
        weight_max_abs=float(layer.weight.abs().max()) if layer is not None and pair.kept is None else math.nan,
        folded_max_abs=float(folded.abs().max()) if folded is not None and pair.kept is None else math.nan,
        max_abs_delta=here.delta if here is not None else math.nan,
        relative_delta=here.relative if here is not None else math.nan,
    )


def _folded_weight(program: Program, nodes: dict[str, fx.Node], pair: NormPair) -> Tensor | None:
    weight = nodes[pair.layer].args[1] if pair.layer is not None and pair.layer in nodes else None
    return program.constants.get(str(weight.target)) if isinstance(weight, fx.Node) else None


def _operation(node: object) -> str:
    if not isinstance(node, fx.Node) or node.op == "placeholder":
        return INPUT
    return OUTPUT if node.op == "output" else shown_operation(node)


def _outputs(program: Program, moved: FoldDeltas) -> tuple[OutputDelta, ...]:
    """By name; outputs that hold no float numbers have none."""
    (output,) = [node for node in program.graph.nodes if node.op == "output"]
    values = [node.meta.get("val") for node in output.args[0]]
    names = [
        name
        for name, value in zip(program.output_names, values, strict=True)
        if not isinstance(value, Tensor) or value.is_floating_point()
    ]
    return tuple(OutputDelta(name, one.delta, one.relative) for name, one in zip(names, moved.outputs, strict=True))


def _notes(scheme: QuantScheme, result: FoldResult) -> tuple[str, ...]:
    if scheme.fold_batchnorm or not result.folded:
        return ()
    return (
        f"the scheme {scheme.name} leaves BatchNorms as they are: the first table shows what folding would do, the "
        "second one the network that is not folded",
    )
