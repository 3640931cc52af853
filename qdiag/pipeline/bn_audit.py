"""`qdiag bn`: what every BatchNorm does to the weights it folds into, from the checkpoint alone."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn
from torch.export import ExportedProgram

from qdiag.batchnorms.of_module import norms_of_module
from qdiag.batchnorms.of_program import norms_of_graph, norms_of_program
from qdiag.batchnorms.of_script import norms_of_script
from qdiag.batchnorms.of_tensors import norms_of_tensors
from qdiag.batchnorms.sites import TRAINING, UNTRACKED, NormSite, NormSites
from qdiag.capture.program import Program
from qdiag.core.measures.bn import BatchNormAudit, BatchNormRecord
from qdiag.core.measures.measurement import ModelInfo
from qdiag.core.stopwatch import Stopwatch
from qdiag.errors import ConfigError
from qdiag.files.read import file_digest
from qdiag.loaders.models.tensors import NamedTensors
from qdiag.loaders.models.values import fingerprint_tensors
from qdiag.loaders.probe import Limits, probe
from qdiag.numerics.batchnorm import batch_norm_affine
from qdiag.numerics.bn_audit import dead_channels, folded_max_abs, gain_outliers, live_mask, range_cost
from qdiag.onnx.network import OnnxNetwork
from qdiag.pipeline.facts import model_info
from qdiag.simulate.surroundings import versions
from qdiag.subject import Subject

ASSUMED_EPS = 1e-5
"""What a state dict does not say: the default of torch. Keras and TensorFlow have 1e-3."""

_COUNTERS = ("running_mean", "running_var", "num_batches_tracked")


def audit_batchnorms(
    model: Subject | NamedTensors,
    *,
    program: Program | None = None,
    bits: int = 8,
    assumed_eps: float = ASSUMED_EPS,
) -> BatchNormAudit:
    """Gain, dead channels, folded range and effective bits of every BatchNorm; no data, the model is left as it was.

    Args:
        program: the model as it was captured, which says best what each BatchNorm folds into; None where it was not.
        bits: of the weights.
        assumed_eps: where the model is a state dict, which does not hold it.

    Raises:
        ConfigError: bits or eps that make no sense.
    """
    if not 2 <= bits <= 16:
        raise ConfigError(f"bits = {bits} is outside 2 to 16", at="`bits`", hint="give 2 to 16")
    if not assumed_eps > 0.0:
        raise ConfigError(
            f"eps of {assumed_eps:g}", at="`assumed_eps`", hint="give what the network was trained with: 1e-5 or 1e-3"
        )
    watch = Stopwatch()
    with watch.stage("pair"), torch.no_grad():
        sites = find_norms(model, assumed_eps) if program is None else norms_of_graph(program)
    with watch.stage("audit"), torch.no_grad():
        records = tuple(audit_site(site, i, bits) for i, site in enumerate(sites.sites))
    return BatchNormAudit(
        model=_tensor_info(model) if isinstance(model, NamedTensors) else model_info(model),
        route=sites.route,
        bits=bits,
        records=records,
        notes=(*sites.notes, *_notes(records)),
        stages=watch.stages,
        versions=versions(),
    )


def find_norms(model: Subject | NamedTensors, assumed_eps: float = ASSUMED_EPS) -> NormSites:
    """The BatchNorms of a model in any form, each with the layer it folds into."""
    if isinstance(model, NamedTensors):
        return norms_of_tensors(model.tensors, assumed_eps)
    network: nn.Module | ExportedProgram = model.model
    if isinstance(network, ExportedProgram):
        return norms_of_program(network)
    if isinstance(network, OnnxNetwork):
        # shapes that the file spells out are computed here, for the first time
        probe(network.for_its_own_shape, limits=Limits.of_run(), at=model.source, deed="following its shapes")
        route = "LiteRT" if model.format == "litert" else "ONNX"
        return norms_of_program(network.for_its_own_shape(), route)
    if isinstance(network, torch.jit.ScriptModule):
        return norms_of_script(network)
    return norms_of_module(network)


def audit_site(site: NormSite, index: int, bits: int) -> BatchNormRecord:
    """The record of one BatchNorm at one call."""
    norm, layer = site.norm, site.layer
    empty = BatchNormRecord(
        index=index,
        name=norm.name,
        tensor_names=norm.tensor_names,
        call=site.call,
        call_count=site.call_count,
        channels=norm.channels,
        eps=norm.eps,
        eps_is_assumed=norm.eps_is_assumed,
        is_affine=norm.gamma is not None or norm.beta is not None,
        tracks_statistics=norm.variance is not None,
        layer=site.pair,
        bits=bits,
    )
    if norm.variance is None:
        return replace(empty, skip_reason=UNTRACKED)
    variance = norm.variance.detach().double()
    gain = batch_norm_affine(norm.gamma, None, torch.zeros_like(variance), variance, norm.eps).gain
    folded = None
    if layer is not None and site.pair is not None:
        is_before = site.pair.direction.startswith("bn")
        folded = folded_max_abs(
            layer.weight, gain, output_axis=layer.output_axis, is_before=is_before, groups=layer.groups
        )
    dead = dead_channels(norm.gamma, norm.beta, variance, norm.eps, folded)
    is_live = live_mask(norm.channels, dead)
    return replace(
        empty,
        gain=tuple(gain.tolist()),
        variance=tuple(variance.tolist()),
        folded_max_abs=tuple(folded.tolist()) if folded is not None else (),
        live_variance_median=float(variance[is_live].median()) if bool(is_live.any()) else math.nan,
        dead=dead,
        outliers=gain_outliers(gain, is_live, folded),
        range_cost=range_cost(folded, is_live) if folded is not None else None,
        notes=tuple(_site_notes(site, variance)),
    )


def _site_notes(site: NormSite, variance: Tensor) -> list[str]:
    notes = []
    if site.norm.is_training:
        notes.append(TRAINING)
    if site.reason is not None:
        notes.append(site.reason)
    if site.pair is not None and site.pair.not_foldable is not None:
        notes.append(f"cannot be folded exactly: {site.pair.not_foldable}")
    negative = int((variance < 0.0).sum())
    if negative:
        notes.append(f"{negative} variances are negative")
    return notes


def _notes(records: Sequence[BatchNormRecord]) -> list[str]:
    if not records:
        return [
            "no BatchNorm with running statistics: none was ever there, or they are folded into the weights already"
        ]
    notes = []
    shared = [record.name for record in records if record.call == 2]
    if shared:
        notes.append(f"called more than once: {', '.join(shared)}; one row per call")
    return notes


def _tensor_info(tensors: NamedTensors) -> ModelInfo:
    trained = [value for name, value in tensors.tensors.items() if name.rpartition(".")[2] not in _COUNTERS]
    return ModelInfo(
        source=tensors.source,
        format=tensors.format,
        architecture="state dict without a network",
        parameter_count=sum(value.numel() for value in trained),
        digest=fingerprint_tensors(tensors.tensors.items()),
        file_digest=file_digest(tensors.source),
    )
