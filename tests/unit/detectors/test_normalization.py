"""QD301 to QD304: each planted fault gives its own code and nothing else; its healthy twin gives nothing."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import qdiag
from qdiag.core.measures.measurement import CaptureInfo, KeptBatchNorm
from qdiag.detectors import DetectionContext, detect
from tests.contexts import audit, codes, dead, even, healthy, norm, outlier, planted, sums, weights


def with_norm(**changed: object) -> DetectionContext:
    return planted(healthy(), "body", {"local": sums(20.0)}, batchnorms=audit(body=norm("body", **changed)))


def wide(channel: int, width: float = 30.0) -> tuple[float, ...]:
    return tuple(width if c == channel else w for c, w in enumerate(even()))


def test_dead_channels_that_set_the_range() -> None:
    context = with_norm(dead=(dead(2, 30.0, 30.0), dead(9, 0.2, 0.2)), folded_max_abs=wide(2))
    (found,) = detect(context)
    assert found.code == "QD301"
    (site,) = found.sites
    assert (site.layer, site.channels) == ("body", (2, 9)), "all dead channels of a layer in which one sets the range"
    assert {e.name: e.value for e in site.evidence}["setting_channels"] == 1.0
    assert (site.evidence[0].value, site.evidence[0].threshold) == (30.0, 1.0)
    assert found.repairs == ("reset_variance_mean", "reset_variance_constant", "per_channel_weights")


def test_dead_channels_that_set_no_range() -> None:
    huge_gain_on_tiny_weights = (dead(2, 3e-7, 3e-7),)
    assert codes(with_norm(dead=huge_gain_on_tiny_weights)) == []


def test_dead_channels_under_scales_of_their_own() -> None:
    context = with_norm(dead=(dead(2, 30.0, 30.0),), folded_max_abs=wide(2))
    weight = context.measurement.record("body").weight
    assert weight is not None
    assert codes(planted(context, "body", {"weight": replace(weight, granularity="per_channel")})) == []
    assert codes(planted(context, "body", {"weight": None})) == []


def test_dead_channels_of_a_batchnorm_that_is_not_folded() -> None:
    context = with_norm(dead=(dead(2, 30.0, 30.0),), folded_max_abs=wide(2))
    kept = CaptureInfo("export", kept_batchnorms=(KeptBatchNorm("body_bn", "its input feeds two layers"),))
    assert codes(planted(context, "body", capture=kept)) == []
    assert codes(planted(context, "body", scheme=replace(context.measurement.scheme, fold_batchnorm=False))) == []


def test_no_audit_no_finding() -> None:
    assert codes(planted(healthy(), "body", {"local": sums(20.0)}, batchnorms=None)) == []


def test_a_live_gain_outlier() -> None:
    context = with_norm(outliers=(outlier(5, 30.0, 30.0),), folded_max_abs=wide(5))
    (found,) = detect(context)
    assert found.code == "QD302"
    assert found.sites[0].channels == (5,)
    assert found.sites[0].evidence[0].value == pytest.approx(30.0)
    assert found.sites[0].evidence[0].threshold == 2.0


def test_a_gain_outlier_and_the_weights_that_it_makes() -> None:
    context = with_norm(outliers=(outlier(5, 30.0, 30.0),), folded_max_abs=wide(5))
    assert codes(planted(context, "body", {}, {"weight": weights(wide(5))})) == ["QD101", "QD302"]


@pytest.mark.parametrize("width", [0.2, 1.5])
def test_a_gain_outlier_that_sets_no_range(width: float) -> None:
    assert codes(with_norm(outliers=(outlier(5, width, width),), folded_max_abs=wide(5, width))) == []


NORM = {"kind": "norm", "ops": ("batch_norm",), "weight": None}


def test_a_batchnorm_that_could_be_folded() -> None:
    scheme = replace(healthy().measurement.scheme, fold_batchnorm=False)
    context = planted(healthy(scheme), "relu", {**NORM, "inputs": ("squeeze",)}, {})
    context = planted(context, "gate", {"inputs": ("relu",)})
    (found,) = detect(context)
    assert found.code == "QD303"
    assert found.layers == ("relu",)
    assert found.repairs[0] == "fold_batchnorm"


def test_a_batchnorm_that_has_to_stay() -> None:
    assert codes(planted(healthy(), "relu", NORM)) == []
    (found,) = detect(planted(healthy(), "relu", NORM | {"local": sums(12.0)}))
    assert found.code == "QD303"
    assert found.sites[0].evidence[0].threshold == 20.0
    assert "fold_batchnorm" not in found.repairs


def test_a_batchnorm_in_training_mode() -> None:
    kept = (KeptBatchNorm("relu", "it runs in training mode: its statistics change with every batch"),)
    context = planted(healthy(), "relu", NORM | {"module_path": "relu"}, capture=CaptureInfo("x", kept_batchnorms=kept))
    (found,) = detect(context)
    assert found.code == "QD304"
    assert found.layers == ("relu",)
    assert found.repairs == ()


def test_a_batchnorm_kept_for_another_reason() -> None:
    kept = (KeptBatchNorm("relu", "its input feeds two layers"),)
    assert codes(planted(healthy(), "relu", capture=CaptureInfo("x", kept_batchnorms=kept))) == []


class OnBatchStatistics(nn.Module):
    def __init__(self, *, is_training: bool) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.bn = nn.BatchNorm2d(4, track_running_stats=is_training)
        self.is_training = is_training

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.conv(x)
        if self.is_training:
            return nn.functional.batch_norm(
                x, self.bn.running_mean.clone(), self.bn.running_var.clone(), training=True  # type: ignore[union-attr]
            )  # fmt: skip
        y: torch.Tensor = self.bn(x)
        return y


@pytest.mark.parametrize("is_training", [True, False])
def test_the_words_of_capture_are_understood(is_training: bool) -> None:
    torch.manual_seed(0)
    result = qdiag.measure(OnBatchStatistics(is_training=is_training).eval(), torch.randn(4, 3, 8, 8))
    assert result.capture.kept_batchnorms
    empty = healthy()
    assert "QD304" in codes(planted(empty, "relu", capture=result.capture))
