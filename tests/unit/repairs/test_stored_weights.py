"""Repairs of networks that store the ranges of their weights: what would no longer fit them is refused."""

from pathlib import Path

import pytest
import torch
from torch import nn

from qdiag.batches import Datasets
from qdiag.config import load_preset
from qdiag.core.causes.findings import Finding, FindingSite
from qdiag.errors import RepairRefused
from qdiag.loaders.data.sources import batches_from
from qdiag.loaders.models.tensors import NamedTensors, load_subject_or_tensors
from qdiag.pipeline.begin import begin
from qdiag.pipeline.bn_audit import audit_batchnorms
from qdiag.pipeline.fix_bn import FixOptions, fix_unproved
from qdiag.pipeline.repair import RepairOptions, repair_model
from qdiag.rank.rank import rank_causes
from qdiag.repairs.base import RepairContext
from qdiag.repairs.stored_weights import check_stored_names
from qdiag.repairs.table import REPAIRS
from qdiag.subject import Subject
from tests.cases import SESSION
from tests.networks.torch_ao import IMAGES, prepared


def repaired(model: nn.Module, *names: str) -> dict[str, str | None]:
    """Why each repair was refused; None where it was made."""
    data = batches_from(IMAGES, 16)
    options = RepairOptions(names, float_bound=1.0)
    result, changes = repair_model(
        SESSION, Subject(model, "module", "net", "net"), Datasets(data, data, ""), load_preset("int8"), options
    )
    assert bool(changes) == any(step.refused is None for step in result.steps)
    return {step.repair: step.refused for step in result.steps}


def test_weights_with_a_stored_range_stay_and_biases_may_move() -> None:
    plain, trained = prepared()
    reasons = repaired(trained, "equalize", "correct_bias")
    assert reasons["equalize"] is not None
    assert reasons["equalize"].startswith("conv1, conv2, conv3 and 1 more: the network stores the ranges of these")
    assert reasons["correct_bias"] is None
    assert repaired(plain, "equalize") == {"equalize": None}


def ranked(model: nn.Module) -> dict[str, str | None]:
    """Why each trial was refused; None where it was measured."""
    data = batches_from((IMAGES, torch.arange(len(IMAGES)) % 5), 16)
    experiment = begin(SESSION, Subject(model, "module", "net", "net"), Datasets(data, data, ""), load_preset("int8"))
    finding = Finding("QD101", (FindingSite("conv1"),), ("equalize", "cover_weights", "per_channel_weights"))
    [cause] = rank_causes(experiment.case, [finding], REPAIRS, RepairContext(session=SESSION)).causes
    return {trial.repair: trial.refused for trial in cause.trials}


def test_a_ranking_tries_no_new_weight_under_the_range_of_the_old_one() -> None:
    """What `qdiag repair` would not write is not measured either; a new range is."""
    plain, trained = prepared()
    reasons = ranked(trained)
    assert reasons["equalize"] is not None
    assert reasons["equalize"].startswith("the ranges of these weights are given, and would no longer fit")
    assert reasons["cover_weights"] is None
    assert ranked(plain)["equalize"] is None


def test_a_checkpoint_alone_says_which_weights_have_ranges() -> None:
    _, trained = prepared()
    names = list(trained.state_dict())
    check_stored_names(names, ["conv9.weight"])
    check_stored_names([name for name in names if "fake_quant" not in name], ["conv1.bn.running_var"])
    with pytest.raises(RepairRefused, match="conv1: the network stores the range of this weight"):
        check_stored_names(names, ["conv1.bn.running_var"])


def test_fix_bn_of_a_checkpoint_alone_changes_nothing_there(tmp_path: Path) -> None:
    _, trained = prepared()
    state = trained.state_dict()
    state["conv1.bn.running_var"][2] = 0.0
    torch.save(state, tmp_path / "qat.pth")
    found = load_subject_or_tensors(tmp_path / "qat.pth")
    assert isinstance(found, NamedTensors)
    result, changes = fix_unproved(found, audit_batchnorms(found), FixOptions(), "there is nothing to repair")
    assert changes == {}
    assert result.steps[0].refused is not None
    assert result.steps[0].refused.startswith("conv1: the network stores the range of this weight")
