"""Checkpoints: where the state dict is, prefixes of wrappers, keys and shapes that do not fit."""

import argparse
from pathlib import Path

import pytest
import torch
from torch import nn

from qdiag.errors import LoadError, UntrustedError
from qdiag.loaders.models.formats import fingerprint, load_subject
from qdiag.loaders.models.state_dict import load_weights
from tests.unit.loaders import model_files as files


def state() -> dict[str, torch.Tensor]:
    return dict(files.trained_net().state_dict())


def prefixed(*prefixes: str) -> dict[str, torch.Tensor]:
    return {"".join(prefixes) + name: value for name, value in state().items()}


CHECKPOINTS = {
    "state_dict": {"epoch": 3, "state_dict": state()},
    "model_state_dict": {"model_state_dict": state(), "optimizer_state_dict": {"state": {}, "param_groups": []}},
    "model": {"model": state(), "best": torch.tensor(0.5)},
    "ema": {"ema": state()},
    "net": {"net": state(), "acc": 91.0},
    "nested ema": {"ema": {"module": state(), "decay": 0.9}},
    "nested model": {"model": {"state_dict": state()}},
    "DataParallel": prefixed("module."),
    "compiled": prefixed("_orig_mod."),
    "compiled in DataParallel": prefixed("module.", "_orig_mod."),
    "Lightning": {"state_dict": prefixed("model."), "pytorch-lightning_version": "2.0"},
    "a compiled part": {
        name.replace("backbone.", "backbone._orig_mod."): value for name, value in state().items()
    },
    "averaged": {"n_averaged": torch.tensor(4), **prefixed("module.")},
    "a number beside the weights": {**state(), "epoch": 3},
    "without counters": {name: value for name, value in state().items() if "num_batches" not in name},
}  # fmt: skip


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_the_weights_are_found(tmp_path: Path, kind: str) -> None:
    torch.save(CHECKPOINTS[kind], tmp_path / "checkpoint.pt")
    files.write_state_dict(files.trained_net(), tmp_path / "plain.pt")
    subject = load_subject(tmp_path / "checkpoint.pt", arch=files.ARCH)
    assert fingerprint(subject) == fingerprint(load_subject(tmp_path / "plain.pt", arch=files.ARCH))


def test_the_model_goes_before_its_average(tmp_path: Path) -> None:
    other = {name: value + 1 for name, value in state().items()}
    torch.save({"ema": other, "model": state()}, tmp_path / "both.pt")
    subject = load_subject(tmp_path / "both.pt", arch=files.ARCH)
    assert torch.equal(subject.model.head.weight, state()["head.weight"])


def test_prefixes_stay_where_the_network_has_them() -> None:
    network = nn.ModuleDict({"model": nn.Linear(2, 2), "module": nn.Linear(2, 2)})
    weights = {name: torch.randn_like(value) for name, value in network.state_dict().items()}
    load_weights(network, weights, at="file", arch="arch")
    assert all(torch.equal(network.state_dict()[name], value) for name, value in weights.items())


def test_weights_shared_by_two_layers_may_be_stored_once() -> None:
    network = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
    network[1].weight = network[0].weight
    weights = {name: torch.randn_like(value) for name, value in network.state_dict().items() if name != "1.weight"}
    load_weights(network, weights, at="file", arch="arch")
    assert torch.equal(network[1].weight, weights["0.weight"])


def test_missing_unexpected_and_misshapen_keys_are_listed(tmp_path: Path) -> None:
    weights = state()
    del weights["head.bias"]
    weights["head.weight"] = torch.zeros(7, 4)
    weights["tail.bias"] = torch.zeros(2)
    torch.save(weights, tmp_path / "weights.pt")
    with pytest.raises(LoadError) as caught:
        load_subject(tmp_path / "weights.pt", arch=files.ARCH)
    text = str(caught.value)
    assert "1 missing key (head.bias)" in text
    assert "1 unexpected key (tail.bias)" in text
    assert "1 other shape (head.weight is 7x4 in the file, 5x4 in the network)" in text


def test_long_lists_are_cut_and_counted(tmp_path: Path) -> None:
    torch.save({f"other.{index}": torch.zeros(1) for index in range(20)}, tmp_path / "weights.pt")
    with pytest.raises(LoadError) as caught:
        load_subject(tmp_path / "weights.pt", arch="zoo:mobilenet_v1_small")
    assert "20 unexpected keys (other.0, " in str(caught.value)
    assert "other.7 and 12 more)" in str(caught.value)
    assert "other.8" not in str(caught.value)


def test_a_refused_state_dict_leaves_the_network_as_it_was() -> None:
    network = nn.Linear(2, 2)
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(LoadError):
        load_weights(network, {"weight": torch.ones(2, 2), "bias": torch.ones(3)}, at="file", arch="arch")
    assert all(torch.equal(network.state_dict()[name], value) for name, value in before.items())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({}, "it holds a dict"),
        ({"epoch": 3, "optimizer": {}}, "with the keys epoch, optimizer"),
        ([1, 2], "it holds a list"),
        (torch.zeros(3), "it holds a Tensor"),
    ],
)
def test_a_file_without_a_model_says_what_it_holds(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "other.pt")
    with pytest.raises(LoadError, match=message) as caught:
        load_subject(tmp_path / "other.pt", arch=files.ARCH)
    assert "state_dict, model_state_dict, model, ema, net" in str(caught.value.hint)


def test_other_objects_in_a_checkpoint_need_trust(tmp_path: Path) -> None:
    torch.save({"args": argparse.Namespace(lr=0.1), "state_dict": state()}, tmp_path / "run.pt")
    with pytest.raises(UntrustedError, match=r"argparse\.Namespace"):
        load_subject(tmp_path / "run.pt", arch=files.ARCH)
    assert load_subject(tmp_path / "run.pt", arch=files.ARCH, trust=True).format == "checkpoint"


@pytest.mark.filterwarnings("ignore")  # torch deprecates quantized tensor types
def test_quantized_weights_are_refused(tmp_path: Path) -> None:
    weights = state()
    weights["head.weight"] = torch.quantize_per_tensor(weights["head.weight"], 0.1, 0, torch.qint8)
    torch.save(weights, tmp_path / "int8.pt")
    with pytest.raises(LoadError, match=r"1 tensor is quantized already \(head\.weight\)"):
        load_subject(tmp_path / "int8.pt", arch=files.ARCH)
