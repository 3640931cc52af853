"""Weights that are no plain arrays of numbers, and checkpoints that keep the model under keys of their own."""

import warnings
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors.torch
import torch
from torch import Tensor, nn

from qdiag.cli.app import run
from qdiag.errors import LoadError
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.models.tensors import NamedTensors, load_subject_or_tensors
from tests.unit.loaders import model_files as files

KINDS: dict[str, tuple[Callable[[Tensor], Tensor], str]] = {
    "sparse": (lambda tensor: tensor.to_sparse(), "head.weight is stored as sparse_coo"),
    "compressed": (lambda tensor: tensor.to_sparse_csr(), "head.weight is stored as sparse_csr"),
    "float8": (lambda tensor: tensor.to(torch.float8_e4m3fn), "head.weight is float8_e4m3fn, which needs scales"),
    "meta": (lambda tensor: tensor.to("meta"), "head.weight is without values"),
    "nested": (lambda tensor: torch.nested.nested_tensor(list(tensor)), "head.weight is nested"),
}


def state_with(kind: str) -> dict[str, Tensor]:
    state = files.trained_net().state_dict()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls these kinds of tensors prototypes
        state["head.weight"] = KINDS[kind][0](state["head.weight"])
    return state


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.filterwarnings("ignore:.*(sparse|Sparse|nested).*")
def test_weights_of_another_kind_are_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    torch.save(state_with(kind), path)
    for read in (lambda: load_subject(path, arch=files.ARCH), lambda: load_subject_or_tensors(path)):
        with pytest.raises(LoadError, match=KINDS[kind][1]) as caught:
            read()
        assert caught.value.at == str(path)


def test_float8_in_safetensors_is_named(tmp_path: Path) -> None:
    safetensors.torch.save_file(state_with("float8"), tmp_path / "model.safetensors")
    for read in (load_subject_or_tensors, lambda path: load_subject(path, arch=files.ARCH)):
        with pytest.raises(LoadError, match="float8_e4m3fn"):
            read(tmp_path / "model.safetensors")


@pytest.mark.filterwarnings("ignore:.*(sparse|Sparse|nested).*")
@pytest.mark.parametrize("kind", ["sparse", "float8", "meta"])
def test_a_whole_module_with_such_weights_is_refused(kind: str, tmp_path: Path) -> None:
    net = files.trained_net()
    net.head.weight = nn.Parameter(state_with(kind)["head.weight"], requires_grad=False)
    torch.save(net, tmp_path / "model.pt")
    with pytest.raises(LoadError, match=r"head\.weight"):
        load_subject(tmp_path / "model.pt", trust=True)


def test_a_lazy_network_is_refused(tmp_path: Path) -> None:
    torch.save(nn.Sequential(nn.LazyLinear(3)), tmp_path / "model.pt")
    with pytest.raises(LoadError, match="no values yet"):
        load_subject(tmp_path / "model.pt", trust=True)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_a_program_in_half_precision_is_told_so(kind: torch.dtype, tmp_path: Path) -> None:
    path = tmp_path / "model.pt2"
    program = torch.export.export(files.trained_net().eval().to(kind), (files.INPUT.to(kind),), strict=False)
    torch.export.save(program, path)
    with pytest.raises(LoadError, match=f"computes in {str(kind).removeprefix('torch.')}") as caught:
        load_subject(path)
    assert "model.float()" in str(caught.value.hint)


KEYS = ("params_ema", "params", "net_g", "model_state", "weights", "my_own_name")


@pytest.mark.parametrize("key", KEYS)
def test_weights_under_another_key_are_found(key: str, tmp_path: Path) -> None:
    net = files.trained_net()
    optimizer = torch.optim.Adam(net.parameters())
    net(files.INPUT).sum().backward()
    optimizer.step()
    net.eval()
    path = tmp_path / "model.pt"
    torch.save({key: net.state_dict(), "optimizer": optimizer.state_dict(), "epoch": 3}, path)
    assert_same(net, load_subject(path, arch=files.ARCH).model)
    found = load_subject_or_tensors(path)
    assert isinstance(found, NamedTensors)
    assert found.tensors["head.bias"].equal(net.head.bias)


def test_two_models_ask_which_and_key_says_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, two = files.trained_net(), files.small_net()
    path = tmp_path / "model.pt"
    torch.save({"student": one.state_dict(), "teacher": {"deep": two.state_dict()}}, path)
    with pytest.raises(LoadError, match="several models in it, under student, teacher/deep") as caught:
        load_subject(path, arch=files.ARCH)
    assert caught.value.hint == "say which: `key=student`"
    assert_same(one, load_subject(path, arch=files.ARCH, key="student").model)
    assert_same(two, load_subject(path, arch=files.ARCH, key="teacher").model)
    assert_same(two, load_subject(path, arch=files.ARCH, key="teacher/deep").model)
    with pytest.raises(LoadError, match="no key 'tutor' in it with the keys student, teacher"):
        load_subject(path, arch=files.ARCH, key="tutor")
    assert run(["bn", str(path), "--key", "teacher"]) == 0
    assert run(["bn", str(path)]) == 2
    assert "--key student" in capsys.readouterr().err


def test_a_repaired_checkpoint_keeps_its_other_models(tmp_path: Path) -> None:
    one, two = files.trained_net(), files.trained_net()
    one.backbone[1].running_var[0] = 1e-12  # a dead channel with a huge gain
    one.backbone[1].weight.data[0] = 0.5
    path, fixed = tmp_path / "model.pt", tmp_path / "fixed.pt"
    torch.save({"student": one.state_dict(), "teacher": two.state_dict()}, path)
    assert run(["fix-bn", str(path), "--key", "student", "--no-proof", "-o", str(fixed)]) == 0
    written = torch.load(fixed, weights_only=True)
    name = "backbone.1.running_var"
    assert not written["student"][name].equal(one.state_dict()[name])
    assert all(value.equal(written["teacher"][key]) for key, value in two.state_dict().items())


def test_other_formats_have_no_keys(tmp_path: Path) -> None:
    path = tmp_path / "model.ts"
    files.write_traced(files.trained_net(), path)
    with pytest.raises(LoadError, match="has no keys"):
        load_subject(path, key="x")


def assert_same(net: nn.Module, found: object) -> None:
    assert isinstance(found, nn.Module)
    theirs = found.state_dict()
    assert all(value.equal(theirs[name]) for name, value in net.state_dict().items())
