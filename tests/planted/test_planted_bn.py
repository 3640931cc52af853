"""A fault planted into a healthy network is found, and the network without it stays silent."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from qdiag.core.measures.bn import BatchNormAudit
from qdiag.errors import ConfigError
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.subject import Subject
from tests.models import KINDS


def audit(model: nn.Module, **options: float) -> BatchNormAudit:
    return audit_batchnorms(Subject(model, "module", "planted", type(model).__name__), **options)  # type: ignore[arg-type]


def norm_of(model: nn.Module, name: str) -> nn.BatchNorm2d:
    norm = model.get_submodule(name)
    assert isinstance(norm, nn.BatchNorm2d)
    return norm


def first_pair(model: nn.Module) -> tuple[str, str]:
    record = next(r for r in audit(model).records if r.layer is not None and r.channels >= 4)
    assert record.layer is not None
    return record.name, record.layer.name


def kill(model: nn.Module, channel: int) -> None:
    """Zero variance, the rest as it was: the gain becomes gamma / sqrt(eps)."""
    norm = norm_of(model, first_pair(model)[0])
    assert norm.running_var is not None
    norm.running_var[channel] = 4e-35


def kill_with_tiny_weight(model: nn.Module, channel: int) -> None:
    """As in a published InceptionV3: the weights decayed with the variance."""
    name, layer = first_pair(model)
    kill(model, channel)
    weight = model.get_submodule(layer).weight
    assert isinstance(weight, torch.Tensor)
    weight.data[channel] = 3e-10
    norm_of(model, name).weight.data[channel] = 3.0


HEALTHY = ["depthwise_separable", "residual", "grouped", "inception", "hardswish"]


@pytest.mark.parametrize("name", HEALTHY)
def test_healthy_networks_are_silent(name: str) -> None:
    result = audit(KINDS[name].build())
    assert result.dead_count == 0
    assert [r.outliers for r in result.records if r.outliers] == []
    assert all(r.range_cost is None or r.range_cost.cost_bits < 2.0 for r in result.records)


@pytest.mark.parametrize("name", HEALTHY)
@pytest.mark.parametrize(("plant", "sets_range"), [(kill, True), (kill_with_tiny_weight, False)])
def test_a_planted_dead_channel_is_found(name: str, plant: Callable[[nn.Module, int], None], sets_range: bool) -> None:
    model = KINDS[name].build()
    norm, _ = first_pair(model)
    plant(model, 2)
    result = audit(model)
    record = result.record(norm)
    assert result.dead_count == 1
    assert record.dead_channels == (2,)
    assert record.dead[0].sets_range is sets_range
    assert abs(record.dead[0].gain) > 50.0
    cost = record.range_cost
    assert cost is not None
    assert (cost.is_dead, cost.channels == (2,)) == (sets_range, sets_range)
    if sets_range:
        assert record.scale_channel == 2
        assert cost.cost_bits > 3.0


def test_a_live_outlier_is_told_from_a_dead_channel() -> None:
    model = KINDS["depthwise_separable"].build()
    name, _ = first_pair(model)
    norm_of(model, name).weight.data[1] *= 64.0
    record = audit(model).record(name)
    assert record.dead == ()
    assert [found.channel for found in record.outliers] == [1]
    assert record.outliers[0].sets_range
    assert record.range_cost is not None
    assert (record.range_cost.channels, record.range_cost.is_dead) == ((1,), False)


def test_the_model_is_left_as_it_was() -> None:
    model = KINDS["residual"].build().train()
    before = copy.deepcopy(model.state_dict())
    audit(model)
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_one_without_statistics_and_one_in_training_mode_are_rows() -> None:
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    (record,) = audit(model).records
    assert record.skip_reason is not None
    assert record.gain == ()
    assert not record.tracks_statistics


def test_networks_without_batchnorm_and_options_without_sense() -> None:
    result = audit(nn.Sequential(nn.Conv2d(3, 4, 1)))
    assert result.records == ()
    assert "no BatchNorm" in result.notes[0]
    with pytest.raises(ConfigError, match="bits = 1 is outside"):
        audit(nn.Sequential(nn.Conv2d(3, 4, 1)), bits=1)
    with pytest.raises(ConfigError, match="eps"):
        audit(nn.Sequential(nn.Conv2d(3, 4, 1)), assumed_eps=0.0)
