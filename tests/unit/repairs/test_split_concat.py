"""`split_concat`: the branches of an output keep the quantizers that they have, and nothing else changes."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from qdiag.capture.outputs.tails import output_concats
from qdiag.config import load_scheme
from qdiag.core.causes.findings import FindingSite
from qdiag.errors import ConfigError, RepairRefused
from qdiag.plan import LayerPlan
from qdiag.repairs.base import RepairContext
from qdiag.repairs.table import REPAIRS
from qdiag.simulate.case import Case
from tests.cases import (
    SESSION,
    assert_untouched,
    changed_layers,
    open_test_case,
    output_error,
    output_sqnr_db,
    snapshot,
)

CELLS = torch.randn(30, 4, 12, generator=torch.Generator().manual_seed(5))
Join = Callable[[Tensor, Tensor], Tensor]


class Cells(nn.Module):
    """A place in pixels and scores for each cell, in one output."""

    def __init__(self, join: Join, read_inside: bool = False) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.body, self.place, self.score = nn.Conv1d(4, 16, 1), nn.Conv1d(16, 2, 1), nn.Conv1d(16, 3, 1)
        self.last = nn.Conv1d(5, 2, 1) if read_inside else None
        self.join = join

    def forward(self, x: Tensor) -> Tensor | tuple[Tensor, Tensor]:
        y = self.body(x).relu()
        joined = self.join(640.0 * self.place(y).sigmoid(), self.score(y).sigmoid())
        return joined if self.last is None else (joined, self.last(joined))


def plain(place: Tensor, score: Tensor) -> Tensor:
    return torch.cat((place, score), 1)


def then_changed(place: Tensor, score: Tensor) -> Tensor:
    """Every value by itself, on the way to the output."""
    return torch.cat((place, score), 1).permute(0, 2, 1).clamp(min=0.25) * 2.0 + 1.0


def twice(place: Tensor, score: Tensor) -> Tensor:
    return torch.cat((torch.cat((place, score), 1), torch.cat((place * 0.5, score), 1)), 2)


def mixed(place: Tensor, score: Tensor) -> Tensor:
    return torch.cat((place, score), 1).softmax(1)


def opened(join: Join, *, read_inside: bool = False) -> Case:
    return open_test_case(Cells(join, read_inside).eval(), CELLS, "int8")


def split(case: Case, *layers: str) -> Case:
    sites = [FindingSite(layer) for layer in layers]
    return REPAIRS["split_concat"].apply(case, sites, RepairContext(session=SESSION)).case


def test_what_comes_out_is_the_branches_as_they_are_quantized() -> None:
    case = opened(plain)
    before = snapshot(case)
    treated = split(case, "concat")
    assert_untouched(case, before)
    assert changed_layers(case, treated) == {"concat"}
    model = Cells(plain).eval()
    one_by_one = open_test_case(_Apart(model), CELLS, "int8")
    parts = SESSION.measure(treated).outputs[0].parts
    errors = [output.error for output in SESSION.measure(one_by_one).outputs]
    for name, error in zip(("mul", "sigmoid#2"), errors, strict=True):
        own = [part.error for part in parts if part.name.startswith(f"branch {name}")]
        assert sum(e.error_sq_sum for e in own) == pytest.approx(error.error_sq_sum, rel=1e-5)
    assert SESSION.measure(treated).outputs[0].weakest_sqnr_db > 30.0
    assert SESSION.measure(case).outputs[0].weakest_sqnr_db < 5.0


class _Apart(nn.Module):
    """The same network, which gives its branches one by one."""

    def __init__(self, model: Cells) -> None:
        super().__init__()
        self.model = model

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = self.model.body(x).relu()
        return 640.0 * self.model.place(y).sigmoid(), self.model.score(y).sigmoid()


@pytest.mark.parametrize(
    ("join", "layers"),
    [
        (plain, ("concat",)),
        (then_changed, ("concat", "clamp", "mul#2", "add")),
        (twice, ("concat", "concat#3")),
    ],
)
def test_what_stands_behind_it_is_left_out_as_well(join: Join, layers: tuple[str, ...]) -> None:
    case = opened(join)
    treated = split(case, "concat")
    plans: dict[str, LayerPlan] = dict(treated.plan.layers)
    assert {name for name in plans if plans[name].output is None} == set(layers)
    assert all(plans[name].skip_reason is not None for name in layers)
    assert output_sqnr_db(treated) >= output_sqnr_db(case)
    assert SESSION.measure(split(case)).outputs[0].weakest_sqnr_db > 30.0


@pytest.mark.parametrize("join", [plain, then_changed, twice])
def test_its_setting_makes_the_same_plan(join: Join) -> None:
    case = opened(join)
    for sites in ([FindingSite("concat")], []):
        done = REPAIRS["split_concat"].apply(case, sites, RepairContext(session=SESSION))
        scheme = load_scheme("int8", done.settings)
        again = open_test_case(Cells(join).eval(), CELLS, scheme)
        assert again.scheme.split_concats == done.case.scheme.split_concats
        assert output_error(again) == output_error(done.case)
        assert not changed_layers(again, done.case)


@pytest.mark.parametrize(("join", "read_inside"), [(mixed, False), (plain, True)])
def test_a_concat_that_the_network_reads_is_not_split(join: Join, read_inside: bool) -> None:
    case = opened(join, read_inside=read_inside)
    assert output_concats(case.network.program, case.network.graph) == {}
    with pytest.raises(RepairRefused, match="no concat here ends in an output"):
        split(case, "concat")
    with pytest.raises(ConfigError, match="split_concats = 'concat' matches no concat"):
        open_test_case(Cells(join, read_inside).eval(), CELLS, load_scheme("int8", ['split_concats=["concat"]']))


def test_other_layers_and_what_is_split_already_are_refused() -> None:
    case = opened(plain)
    with pytest.raises(RepairRefused, match="no concat here"):
        split(case, "body")
    with pytest.raises(RepairRefused, match="nothing is quantized here"):
        split(split(case, "concat"), "concat")
