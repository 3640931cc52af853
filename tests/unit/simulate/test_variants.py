"""Many variants in one pass give exactly what each gives in a pass of its own, and share what is equal."""

import weakref
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import pytest
import torch

from qdiag.config import load_preset
from qdiag.core.scheme import QuantScheme
from qdiag.simulate.arithmetic.base import LayerOp
from qdiag.simulate.arithmetic.fake_quantized import FAKE_QUANTIZED
from qdiag.simulate.case import Case
from qdiag.simulate.changes import with_clamps, with_plan_edits, with_scheme, with_tensors, without_quantizers
from qdiag.simulate.passes.lanes import REFERENCE, SIMULATED, Lane, Lanes
from qdiag.simulate.passes.paired import ErrorObserver, paired_lanes
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import Session
from qdiag.simulate.surroundings import engine_arithmetic
from qdiag.simulate.sweeps.sensitivity import all_but, alone, part_only, switchable_layers
from qdiag.simulate.task.score_cases import variants_at_once
from tests.cases import SESSION, open_test_case
from tests.models import KINDS

NAMES = [
    *("depthwise_separable", "residual", "grouped", "inception", "densenet", "hardswish", "channel_shuffle"),
    *("se_sigmoid", "unet_transposed", "unet_bilinear", "vit_multihead", "vit_sdpa", "vit_written_out", "lstm"),
    *("shared", "aliasing", "linear_bn", "signals", "buffer_constant"),
]


@cache
def open_kind(name: str, scheme: QuantScheme | str = "tf-uint8") -> Case:
    kind = KINDS[name]
    (x, *_), _ = kind.inputs(batch=4, seed=3)
    return open_test_case(kind.build(), x, scheme)


def variants_of(case: Case) -> list[Case]:
    weights = replace(case.scheme.weights, granularity="per_channel")
    names = switchable_layers(case, "both")
    return [
        case,
        with_scheme(SESSION, case, replace(case.scheme, weights=weights)),
        with_scheme(SESSION, case, replace(case.scheme, float_layers=(names[-1],))),
        without_quantizers(case),
        alone(case, names[len(names) // 2], "both"),
        all_but(case, names[-1], "both"),
        part_only(case, "weights"),
    ]


def outputs_of(case: Case) -> list[torch.Tensor]:
    """The simulated outputs, each variant by itself, by the runner that measures."""
    runner = LaneRunner(paired_lanes(case.network, case.plan), [ErrorObserver(case.plan)])
    outputs = [o for batch in case.measured for o in runner.run_batch(batch) if isinstance(o, Lanes)]
    return [o.tensors[SIMULATED] for o in outputs]


def together(cases: list[Case]) -> LaneRunner:
    """All of them beside the float network of the first."""
    return LaneRunner([Lane(cases[0].origin), *(Lane(case.network, case.plan) for case in cases)])


@pytest.mark.parametrize("name", NAMES)
def test_each_variant_is_what_it_is_alone(name: str) -> None:
    case = open_kind(name)
    cases = variants_of(case)
    with engine_arithmetic():
        runner = together(cases)
        outputs = [o for batch in case.measured for o in runner.run_batch(batch) if isinstance(o, Lanes)]
        for i, one in enumerate(cases):
            expected = outputs_of(one)
            assert len(expected) == len(outputs)
            for got, wanted in zip(outputs, expected, strict=True):
                assert torch.equal(got.tensors[1 + i], wanted), (name, i)


@pytest.mark.parametrize("name", NAMES)
def test_the_float_variant_is_the_reference_itself(name: str) -> None:
    case = open_kind(name)
    with engine_arithmetic():
        runner = together([without_quantizers(case), without_quantizers(case)])
        for batch in case.measured:
            for o in runner.run_batch(batch):
                if isinstance(o, Lanes):
                    assert all(tensor is o.tensors[REFERENCE] for tensor in o.tensors)
    assert runner.reused_count == 2 * runner.computed_count


def test_what_comes_before_a_change_is_shared() -> None:
    """Layer i of L alone runs L - i layers again; the sweep as a whole about half of L squared."""
    case = open_kind("depthwise_separable")
    names = [n for n in switchable_layers(case, "both") if not n.startswith("input")]
    with engine_arithmetic():
        runner = together([alone(case, n, "both") for n in names])
        for batch in case.measured:
            runner.run_batch(batch)
    total = runner.computed_count + runner.reused_count
    assert runner.computed_count < 0.7 * total
    last = together([alone(case, names[-1], "both")])
    with engine_arithmetic():
        for batch in case.measured:
            last.run_batch(batch)
    assert last.reused_count > 0.8 * last.computed_count


def test_other_weights_clamps_and_biases_act_in_their_variant_alone() -> None:
    case = open_kind("depthwise_separable")
    name, tensor = next((n, t) for n, t in case.tensors.items() if n.endswith("weight") and t.ndim == 4)
    layer = next(x for x in case.network.graph.layers if x.weight is not None and x.bias is not None)
    channels = case.network.program.constants[layer.bias].shape[0]  # type: ignore[index]
    clamped = next((x.name for x in case.network.graph.layers if x.clamp is not None), None)
    cases = [
        case,
        with_tensors(SESSION, case, {name: tensor * 1.5}, recalibrate=True),
        with_plan_edits(SESSION, case, {layer.name: {"bias_shift": torch.ones(channels)}}),
        *([with_clamps(SESSION, case, {clamped: (0.0, 0.25)})] if clamped else []),
    ]
    before = {key: value.clone() for key, value in case.tensors.items()}
    with engine_arithmetic():
        runner = together(cases)
        outputs = [o for batch in case.measured for o in runner.run_batch(batch) if isinstance(o, Lanes)]
        first = torch.cat([o.tensors[1].flatten(1) for o in outputs])
        for i in range(1, len(cases)):
            other = torch.cat([o.tensors[1 + i].flatten(1) for o in outputs])
            assert not torch.equal(first, other)
        assert torch.equal(first, torch.cat([o.flatten(1) for o in outputs_of(case)]))
    assert all(torch.equal(before[key], value) for key, value in case.tensors.items())


def test_scores_do_not_depend_on_how_many_share_a_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    case = open_kind("residual", load_preset("int8"))
    cases = variants_of(case)
    with engine_arithmetic():
        together, effort = SESSION.score(cases, "x")
        monkeypatch.setattr("qdiag.simulate.task.score_cases.MEMORY_BYTES", 1)
        assert variants_at_once(case) == 2
        apart, more = Session().score(cases, "x")  # one that has not scored them yet
    assert [s.score for s in together] == [s.score for s in apart]
    assert effort.pass_count == 1 and more.pass_count == 4
    assert effort.variant_count == more.variant_count == len(cases)


@dataclass(eq=False)
class Watched:
    """Ordinary arithmetic that notes which inputs of a convolution are alive while a lane computes it."""

    key = "watched"
    seen: list[weakref.ref[torch.Tensor]] = field(default_factory=list)
    alive: list[int] = field(default_factory=list)

    def run(self, op: LayerOp, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        if op.layer is not None and op.layer.name == "last":
            self.seen.append(weakref.ref(args[0]))
            self.alive.append(sum(ref() is not None for ref in self.seen))
        return FAKE_QUANTIZED.run(op, args, kwargs)


@pytest.mark.parametrize("is_read_again", [False, True])
def test_a_lane_is_freed_as_soon_as_its_last_reader_has_it(*, is_read_again: bool) -> None:
    class Twice(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.last = torch.nn.Conv2d(3, 3, 1), torch.nn.Conv2d(3, 3, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.first(x)
            return self.last(y) + y if is_read_again else self.last(y)

    case = open_test_case(Twice().eval(), torch.randn(2, 3, 4, 4))
    watched, plain = Watched(), outputs_of(case)
    lanes = [replace(lane, arithmetic=watched) for lane in paired_lanes(case.network, case.plan)]
    (output,) = LaneRunner(lanes).run_batch(next(iter(case.measured)))
    assert watched.alive == ([1, 2, 3] if is_read_again else [1, 1, 1])
    assert torch.equal(output.tensors[SIMULATED], plain[0])
