"""What an earlier repair fixed for weights that change is dropped; decisions stay."""

import torch
from torch import nn

from qdiag.core.causes.findings import FindingSite
from qdiag.repairs.base import RepairContext
from qdiag.repairs.equalization.equalize import EQUALIZE
from qdiag.repairs.stale import without_stale_edits
from qdiag.repairs.weights.correct_bias import CORRECT_BIAS
from qdiag.simulate.changes import with_plan_edits
from tests.cases import SESSION, open_test_case


def test_quantizers_and_corrections_go_where_weights_change() -> None:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.SiLU(), nn.Conv2d(4, 2, 1)).eval()
        x = torch.randn(4, 3, 8, 8)
    case = open_test_case(net, x, "tf-uint8")
    corrected = CORRECT_BIAS.apply(case, (), RepairContext()).case
    edited = with_plan_edits(SESSION, corrected, {"0": {"output": case.plan.layers["0"].output, "bias": "float"}})
    kept = without_stale_edits(edited, ["0"])
    assert set(kept.plan_edits) == {"0", "2", "4"}
    assert dict(kept.plan_edits["0"]) == {"bias": "float"}
    assert set(edited.plan_edits["0"]) == {"bias_shift", "output", "bias"}
    done = EQUALIZE.apply(edited, [FindingSite("0")], RepairContext())
    assert done.layers == ("0", "2")
    assert {name: set(fields) for name, fields in done.case.plan_edits.items()} == {"0": {"bias"}, "4": {"bias_shift"}}
    assert done.case.plan.layers["0"].bias_shift is None
