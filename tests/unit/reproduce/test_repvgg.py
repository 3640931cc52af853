"""How the experiment on RepVGG fuses its networks and reads their blocks, and what it says of a failure."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from qdiag.reading.words.reproductions import WORDS
from qdiag.reading.words.reproductions.sentences import reason_words
from qdiag.reproduce.experiments.repvgg import (
    REPVGG,
    SETTINGS,
    Fused,
    blames_identity,
    fuse,
    is_branch,
    is_broken,
    reasons,
    scheme,
)
from qdiag.simulate.session import open_session
from qdiag.zoo import build
from tests.unit.reproduce.sets import lab_of, result_of, stripes


def planted(setting: str) -> nn.Module:
    """Seven blocks of eight channels or fewer, one input channel of `stage1.1` without values."""
    torch.manual_seed(0)
    model = build("repvgg_small", {"width": 0.25, "classes": 3, "setting": setting})
    for name, buffer in model.named_buffers():
        if name.endswith("running_var"):
            buffer.uniform_(0.5, 2.0)
    if setting == "S1":
        for branch in ("rbr_dense.bn", "rbr_1x1.bn"):
            for name in ("weight", "bias"):
                model.get_parameter(f"stage1.0.{branch}.{name}").data[0] = 0.0
        model.get_parameter("stage1.0.rbr_identity.weight").data[0] = 0.0
        model.get_parameter("stage1.0.rbr_identity.bias").data[0] = -1.0
        model.get_buffer("stage1.1.rbr_identity.running_var")[0] = 0.0
        model.get_buffer("stage1.1.rbr_identity.running_mean")[0] = 0.0
    return model


@pytest.fixture(scope="module", params=["S1", "S4"])
def fused(request: pytest.FixtureRequest) -> tuple[nn.Module, Fused]:
    model = planted(request.param)
    with open_session() as session:
        lab = lab_of(session, stripes(24), width=0.5)
        return model, fuse(lab, model)


def test_the_deployed_form_computes_the_same(fused: tuple[nn.Module, Fused]) -> None:
    model, found = fused
    x = torch.randn(4, 3, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        assert torch.allclose(found.network(x), model(x), atol=1e-5)
    assert not any("rbr_dense" in name for name, _ in found.network.named_modules())


def test_the_identity_is_at_fault_where_its_gain_was_planted(fused: tuple[nn.Module, Fused]) -> None:
    model, found = fused
    is_planted = hasattr(model.get_submodule("stage1.1").get_submodule("rbr_identity"), "running_var")
    broken = [block.name for block in found.blocks if is_broken(block.c1)]
    assert broken == [block.name for block in found.blocks if blames_identity(block)]
    assert broken == (["stage1.1"] if is_planted else [])


def test_the_l2_of_a_setting_takes_all_branches_and_no_more() -> None:
    model = build("repvgg_small", {"width": 0.25, "classes": 3, "setting": "S0"})
    left = [name for name, value in model.named_parameters() if not is_branch(name, value)]
    assert left == ["linear.weight", "linear.bias"]


def test_settings_and_scheme_are_those_of_the_source() -> None:
    assert list(SETTINGS.values()) == ["S0", "S0'", "S1", "S2", "S3", "S4"]
    assert scheme().weights.granularity == scheme().activations.granularity == "per_tensor"
    assert scheme().weights.bits == scheme().activations.bits == 8


FLOATS = {("s0", "float"): 93.5, ("s4", "float"): 87.0, ("s4", "drop"): 0.4, ("s4_qat", "int8"): 83.0}


@pytest.mark.parametrize(
    ("key", "wanted", "figure"),
    [("s0_c2", "conditions", "700.0"), ("float_alike", "float_differs", "93.5"), ("qat_near", "nothing_lost", "0.4")],
)
def test_what_does_not_come_out_is_explained_by_the_figures(key: str, wanted: str, figure: str) -> None:
    figures = {("s0", "c1"): 3.0, ("s0", "c2"): 0.0, ("s0", "identity"): 3.0, ("s0", "gain"): 700.0}
    result = result_of(REPVGG, {**figures, **FLOATS})
    judged = next(one for one in result.judged if one.expectation.key == key)
    found = {reason.key: reason for reason in reasons(result, judged)}
    assert figure in WORDS["repvgg"].reasons[wanted](found[wanted].figures)


def test_blocks_that_differ_by_seed_are_counted_as_blocks() -> None:
    seeds = [{("s1", "c1"): count} for count in (0.0, 2.0, 3.0)]
    result = result_of(REPVGG, *seeds)
    judged = next(one for one in result.judged if one.expectation.key == "s1_c1")
    (reason,) = reasons(result, judged)
    margin = 2.920 * np.std([0.0, 2.0, 3.0], ddof=1) / np.sqrt(3)
    assert judged.outcome == "undecided"
    assert f"over 3 of them is {margin:.1f} blocks wide" in WORDS["repvgg"].reasons[reason.key](reason.figures)


def test_one_seed_decides_nothing_and_says_so() -> None:
    result = result_of(REPVGG, {("s1", "drop"): 80.0})
    judged = next(one for one in result.judged if one.expectation.key == "s1_falls")
    judged = replace(judged, reasons=reasons(result, judged))
    assert judged.outcome == "undecided" and reason_words(result, judged) == "One seed decides nothing."
