"""The reset on a case: dead channels, healthy ones, and what it refuses."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from qdiag.config import load_preset
from qdiag.core.causes.findings import FindingSite
from qdiag.errors import RepairRefused
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.repairs.base import Repair, RepairContext
from qdiag.repairs.weights.reset_variance import RESET_VARIANCE_CONSTANT, RESET_VARIANCE_MEAN
from qdiag.simulate.case import Case
from qdiag.subject import Subject
from tests.cases import assert_untouched, open_test_case, output_sqnr_db, snapshot

BOTH = (RESET_VARIANCE_MEAN, RESET_VARIANCE_CONSTANT)
DEAD = (1, 4)


class DeadDepthwise(nn.Module):
    """As in the trained MobileNetV1: ReLU6 cuts some channels to zero, and the depthwise BatchNorm after it knows.

    Their depthwise kernels see nothing but zeros, so running mean and variance there are zero, and the gain is gamma
    over sqrt(eps).
    """

    def __init__(self, *, affine: bool = True) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.stem = nn.Conv2d(3, 8, 3, padding=1)
            self.dw = nn.Conv2d(8, 8, 3, padding=1, groups=8, bias=False)
            self.bn = nn.BatchNorm2d(8, eps=1e-3, affine=affine)
            self.head = nn.Conv2d(8, 6, 1)
            gamma, beta = torch.empty(8).uniform_(0.5, 1.5), torch.empty(8).uniform_(0.1, 1.0)
        with torch.no_grad():
            self.stem.bias[list(DEAD)] = -50.0
            self.bn.train()
            self.bn.momentum = None
            self.bn(self.dw(torch.relu(self.stem(images(16, 7)))))
            self.bn.momentum = 0.1
            if affine:
                self.bn.weight.copy_(gamma)
                self.bn.bias.copy_(beta)
            self.dw.weight[list(DEAD)] = 2.0
        self.eval()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(torch.relu(self.bn(self.dw(torch.relu(self.stem(x))))))
        return y


def images(count: int, seed: int) -> Tensor:
    return torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))


def opened(net: nn.Module, scheme: str = "tf-uint8") -> tuple[Case, RepairContext]:
    audit = audit_batchnorms(Subject(net, "module", "net", type(net).__name__))
    return open_test_case(net, images(8, 1), scheme), RepairContext(audit)


@pytest.mark.parametrize("repair", BOTH, ids=lambda r: r.name)
def test_dead_channels_leave_the_float_output_and_give_back_decibels(repair: Repair) -> None:
    net = DeadDepthwise()
    case, context = opened(net)
    before, weights = snapshot(case), {name: value.clone() for name, value in net.state_dict().items()}
    done = repair.apply(case, [FindingSite("dw", DEAD)], context)
    assert_untouched(case, before)
    assert all(torch.equal(value, weights[name]) for name, value in net.state_dict().items())
    assert (done.layers, done.moves_float) == (("dw",), True)
    assert set(done.tensors) == {"bn.running_var" if repair is RESET_VARIANCE_MEAN else "bn.weight"}
    assert done.case.observations is case.observations
    treated = DeadDepthwise()
    treated.load_state_dict({**weights, **done.tensors})
    with torch.no_grad():
        assert torch.equal(treated(images(4, 2)), net(images(4, 2)))
    assert output_sqnr_db(done.case) > output_sqnr_db(case) + 6.0


def test_the_mean_is_over_the_other_live_channels() -> None:
    net = DeadDepthwise()
    case, context = opened(net)
    done = RESET_VARIANCE_MEAN.apply(case, [FindingSite("dw", (DEAD[0],)), FindingSite("dw", (0,))], context)
    old = net.bn.running_var.numpy().astype(np.float64)
    expected = old.copy()
    expected[[DEAD[0], 0]] = np.mean([old[c] for c in range(8) if c not in (*DEAD, 0)])
    assert np.allclose(done.tensors["bn.running_var"].numpy(), expected, rtol=1e-6)


@pytest.mark.parametrize("repair", BOTH, ids=lambda r: r.name)
def test_healthy_channels_can_be_given_and_are_calibrated_anew(repair: Repair) -> None:
    case, context = opened(DeadDepthwise())
    done = repair.apply(case, [FindingSite("dw", (0, 2))], context)
    assert done.case.observations is not case.observations
    changed = next(iter(done.tensors.values())) != case.tensors[next(iter(done.tensors))]
    assert changed.nonzero().flatten().tolist() == [0, 2]


def test_no_site_means_all_dead_channels() -> None:
    case, context = opened(DeadDepthwise())
    by_site = RESET_VARIANCE_MEAN.apply(case, [FindingSite("dw", DEAD)], context)
    for sites in ((), [FindingSite("dw")]):
        done = RESET_VARIANCE_MEAN.apply(case, sites, context)
        assert done.layers == ("dw",)
        assert torch.equal(done.tensors["bn.running_var"], by_site.tensors["bn.running_var"])


def test_it_works_where_batchnorm_is_not_folded() -> None:
    net = DeadDepthwise()
    audit = audit_batchnorms(Subject(net, "module", "net", "Net"))
    scheme = dataclasses.replace(load_preset("tf-uint8"), fold_batchnorm=False)
    case = open_test_case(net, images(8, 1), scheme)
    done = RESET_VARIANCE_MEAN.apply(case, [FindingSite("dw", DEAD)], RepairContext(audit))
    assert (done.tensors["bn.running_var"] != case.tensors["bn.running_var"]).nonzero().flatten().tolist() == [*DEAD]


def test_refusals() -> None:
    case, context = opened(DeadDepthwise())
    with pytest.raises(RepairRefused, match="no BatchNorm with statistics follows"):
        RESET_VARIANCE_MEAN.apply(case, [FindingSite("head", (0,))], context)
    with pytest.raises(RepairRefused, match="no layer has this name"):
        RESET_VARIANCE_MEAN.apply(case, [FindingSite("nowhere", (0,))], context)
    with pytest.raises(RepairRefused, match="no live channel is left"):
        RESET_VARIANCE_MEAN.apply(case, [FindingSite("dw", tuple(range(8)))], context)
    with pytest.raises(RepairRefused, match="no BatchNorm"):
        RESET_VARIANCE_MEAN.apply(case, [FindingSite("dw", (0,))], RepairContext())
    plain, plain_context = opened(DeadDepthwise(affine=False))
    with pytest.raises(RepairRefused, match=r"bn\.weight") as refused:
        RESET_VARIANCE_CONSTANT.apply(plain, [FindingSite("dw", DEAD)], plain_context)
    assert "reset_variance_mean" in str(refused.value.hint)
