"""Changes of scheme for the whole network, and what its weights and its activations cost by themselves."""

from collections.abc import Sequence
from dataclasses import replace

from qdiag.core.causes.findings import Evidence
from qdiag.core.causes.ranking import PartScore, Trial
from qdiag.core.scheme import BiasType, QuantScheme
from qdiag.rank.bench import Bench
from qdiag.simulate.case import Case, with_scheme
from qdiag.simulate.task.scoring import recovery

_WIDE_BITS = 16


def ways_around(bench: Bench) -> tuple[Trial, ...]:
    """The schemes that would spare the repair, best first."""
    options = _options(bench.case)
    scores = bench.score([with_scheme(bench.case, scheme) for _, scheme, _, _ in options], "ways around")
    trials = [
        Trial(
            name,
            tuple(layer.name for layer in bench.case.network.graph.layers if name != _PER_CHANNEL or layer.weight),
            after=score.score,
            recovery=recovery(before=bench.base, after=score),
            settings=settings,
            costs=costs,
        )
        for (name, _, settings, costs), score in zip(options, scores, strict=True)
    ]

    def merit(trial: Trial) -> float:
        assert trial.recovery is not None
        return trial.recovery.recovered_pp if trial.recovery.pairs is not None else trial.recovery.recovered_db

    return tuple(sorted(trials, key=merit, reverse=True))


def part_scores(bench: Bench, repaired: Case | None) -> tuple[PartScore, ...]:
    """Weights alone and activations alone, before and after the sequence of repairs."""
    schemes = _parts(bench.case.scheme)
    if not schemes:
        return ()
    cases = [with_scheme(case, scheme) for case in (bench.case, repaired) if case for _, scheme in schemes]
    scores = bench.score(cases, "weights and activations apart")
    after = scores[len(schemes) :]
    return tuple(
        PartScore("weights" if is_weights else "activations", scores[i].score, after[i].score if after else None)
        for i, (is_weights, _) in enumerate(schemes)
    )


_PER_CHANNEL = "per_channel_weights"
Option = tuple[str, QuantScheme, tuple[str, ...], tuple[Evidence, ...]]


def _options(case: Case) -> Sequence[Option]:
    scheme, found = case.scheme, list[Option]()
    if not scheme.weights.is_float and scheme.weights.granularity == "per_tensor":
        weights = replace(scheme.weights, granularity="per_channel")
        graph = case.network.graph
        scales = sum(
            int(case.network.program.constants[layer.weight].shape[layer.weight_axis]) - 1
            for layer in graph.layers
            if layer.weight is not None
        )
        found.append(
            (
                _PER_CHANNEL,
                replace(scheme, weights=weights),
                ("weights.granularity=per_channel",),
                (Evidence("extra_scales", float(scales), "values"),),
            )
        )
    if not scheme.activations.is_float and scheme.activations.bits < _WIDE_BITS:
        activations = replace(scheme.activations, bits=_WIDE_BITS)
        growth = _WIDE_BITS / scheme.activations.bits
        # finer input scales make finer bias scales, which 32 bits do not hold: backends with 16x8 kernels take 64
        bias: BiasType = "int64" if scheme.bias == "int32" else scheme.bias
        settings = (f"activations.bits={_WIDE_BITS}", *((f"bias={bias}",) if bias != scheme.bias else ()))
        found.append(
            (
                "activations_16bit",
                replace(scheme, activations=activations, bias=bias),
                settings,
                (Evidence("activation_memory", growth, "x"),),
            )
        )
    return found


def _parts(scheme: QuantScheme) -> list[tuple[bool, QuantScheme]]:
    """Empty when only one kind is quantized anyway. A bias at scale_in * scale_w needs both, so it stays in float."""
    if scheme.weights.is_float or scheme.activations.is_float:
        return []
    return [(True, scheme.only("weights")), (False, scheme.only("activations"))]
