"""Finite weights, fingerprints, counts."""

from pathlib import Path

import pytest
import torch
from torch import nn

from qdiag.errors import LoadError
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.models.values import check_finite, fingerprint, parameter_count
from qdiag.subject import Subject
from tests.unit.loaders import model_files as files


def subject_of(model: nn.Module) -> Subject:
    return Subject(model, "module", "net", type(model).__name__)


def damaged() -> nn.Module:
    net = files.trained_net()
    with torch.no_grad():
        net.head.weight[0, :3] = float("nan")
        net.head.weight[1, 0] = float("inf")
        net.backbone[1].running_var[2] = float("-inf")
    return net


@pytest.mark.parametrize("kind", ["state dict", "safetensors", "scripted", "exported", "module"])
def test_weights_that_are_no_numbers_are_named_and_counted(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "model"
    writers = {
        "state dict": files.write_state_dict,
        "safetensors": files.write_safetensors,
        "scripted": files.write_scripted,
        "exported": files.write_exported,
        "module": files.write_module,
    }
    writers[kind](damaged(), path)
    with pytest.raises(LoadError) as caught:
        load_subject(path, arch=files.ARCH if kind in ("state dict", "safetensors") else None, trust=kind == "module")
    assert caught.value.at == str(path)
    assert "head.weight (3 NaN, 1 infinite of 20)" in str(caught.value)
    assert "backbone.1.running_var (1 infinite of 4)" in str(caught.value)
    assert "head.bias" not in str(caught.value)


def test_a_damaged_half_that_is_not_looked_at_does_no_harm(tmp_path: Path) -> None:
    net = files.trained_net()
    nn.init.constant_(net.head.bias, float("nan"))
    files.write_state_dict(net, tmp_path / "weights.pt")
    assert load_subject(tmp_path / "weights.pt", arch=files.ARCH, submodule="backbone").submodule == "backbone"


def test_masks_may_be_infinite_but_not_nan() -> None:
    net = nn.Linear(2, 2)
    net.register_buffer("mask", torch.full((2, 2), float("-inf")).triu(1))
    check_finite(subject_of(net))
    net.mask[0, 0] = float("nan")
    with pytest.raises(LoadError, match=r"mask \(1 NaN, 1 infinite of 4\)"):
        check_finite(subject_of(net))


def test_a_long_list_is_cut_and_counted() -> None:
    net = nn.ModuleList(nn.Linear(1, 1, bias=False) for _ in range(11))
    for parameter in net.parameters():
        nn.init.constant_(parameter, float("nan"))
    with pytest.raises(LoadError, match="and 3 more"):
        check_finite(subject_of(net))


def test_weights_without_values_are_refused() -> None:
    with pytest.raises(LoadError, match="weight \\(no values yet\\)"):
        check_finite(subject_of(nn.Linear(2, 2, device="meta")))


def test_the_fingerprint_sees_every_bit_and_not_the_batch_counter() -> None:
    net = files.trained_net()
    first = fingerprint(subject_of(net))
    net.backbone[1].num_batches_tracked += 5
    assert fingerprint(subject_of(net)) == first
    with torch.no_grad():
        net.head.bias[0] = torch.nextafter(net.head.bias[0], torch.tensor(9.0))
    assert fingerprint(subject_of(net)) != first


def test_the_fingerprint_sees_names_types_and_shapes() -> None:
    def one(name: str, value: torch.Tensor) -> str:
        net = nn.Module()
        net.register_buffer(name, value)
        return fingerprint(subject_of(net))

    zeros = torch.zeros(2, 3)
    variants = [("a", zeros), ("b", zeros), ("a", zeros.t()), ("a", zeros.to(torch.int32)), ("a", zeros.bfloat16())]
    assert len({one(*variant) for variant in variants}) == len(variants)
    columns = torch.arange(6.0).reshape(3, 2).t()
    assert one("a", columns) == one("a", columns.contiguous())  # the same values, another layout in memory


def test_shared_parameters_count_once() -> None:
    net = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    net[1].weight = net[0].weight
    assert parameter_count(subject_of(net)) == 9 + 3 + 3
