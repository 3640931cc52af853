"""Every format comes back in the form it had, with the new values and everything else as it was."""

import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

import pytest
import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from qdiag.errors import WriteError
from qdiag.loaders.models.formats import fingerprint, load_subject
from qdiag.savers.save import save_subject
from tests.unit.loaders import model_files
from tests.unit.loaders.model_files import ARCH, INPUT, SmallNet, trained_net

NEW = {"backbone.1.running_var": torch.tensor([1.5, 2.5, 3.5, 4.5]), "backbone.1.bias": torch.full((4,), 0.25)}

FORMATS: dict[str, tuple[Callable[[nn.Module, Path], None], str | None, bool]] = {
    "state dict": (model_files.write_state_dict, ARCH, False),
    "legacy state dict": (model_files.write_legacy_state_dict, ARCH, False),
    "safetensors": (model_files.write_safetensors, ARCH, False),
    "module": (model_files.write_module, None, True),
    "legacy module": (model_files.write_legacy_module, None, True),
    "plain pickle": (model_files.write_plain_pickle, None, True),
    "scripted": (model_files.write_scripted, None, False),
    "traced": (model_files.write_traced, None, False),
    "exported": (model_files.write_exported, None, False),
}


def values(path: Path, arch: str | None = None, trust: bool = False) -> dict[str, Tensor]:
    subject = load_subject(path, arch=arch, trust=trust)
    return {**dict(subject.model.named_parameters()), **dict(subject.model.named_buffers())}


def outputs(path: Path, arch: str | None, trust: bool) -> Tensor:
    model = load_subject(path, arch=arch, trust=trust).model
    module = model if isinstance(model, nn.Module) else model.module()
    with torch.no_grad():
        result: Tensor = module(INPUT)
    return result


@pytest.mark.parametrize("name", FORMATS)
def test_round_trip(name: str, tmp_path: Path) -> None:
    write, arch, trust = FORMATS[name]
    source, target = tmp_path / "net.bin", tmp_path / "fixed.bin"
    write(trained_net(), source)
    bytes_before = source.read_bytes()
    subject = load_subject(source, arch=arch, trust=trust)
    digest = fingerprint(subject)
    old = {name: value.clone() for name, value in values(source, arch, trust).items()}

    save_subject(subject, NEW, target, trust=trust)

    assert source.read_bytes() == bytes_before
    assert fingerprint(subject) == digest
    again = load_subject(target, arch=arch, trust=trust)
    assert again.format == subject.format
    new = values(target, arch, trust)
    assert new.keys() == old.keys()
    for key, value in new.items():
        assert torch.equal(value, NEW.get(key, old[key])), key
    expected = trained_net().eval()
    expected.load_state_dict(NEW, strict=False)
    with torch.no_grad():
        assert torch.allclose(outputs(target, arch, trust), expected(INPUT), atol=1e-6)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["fixed.bin", "net.bin"]


@pytest.mark.parametrize(("legacy", "is_zip"), [(False, True), (True, False)])
def test_the_container_of_torch_save_is_kept(legacy: bool, is_zip: bool, tmp_path: Path) -> None:
    source, target = tmp_path / "net.pt", tmp_path / "fixed.pt"
    torch.save(trained_net().state_dict(), source, _use_new_zipfile_serialization=not legacy)
    save_subject(load_subject(source, arch=ARCH), NEW, target)
    assert zipfile.is_zipfile(target) == is_zip
    state = torch.load(target, weights_only=True)
    assert type(state) is OrderedDict
    assert state._metadata == trained_net().state_dict()._metadata


def test_a_checkpoint_keeps_its_other_keys_prefixes_and_types(tmp_path: Path) -> None:
    net = trained_net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    net.train()(INPUT).sum().backward()
    optimizer.step()
    state = {
        f"module.{name}": value.half() if value.is_floating_point() else value
        for name, value in net.state_dict().items()
    }
    checkpoint = {
        "epoch": 3,
        "model": {"state_dict": state, "note": "kept"},
        "optimizer": optimizer.state_dict(),
        "best": state,
        "history": [1.0, (2, "three")],
    }
    source, target = tmp_path / "epoch3.ckpt", tmp_path / "fixed.ckpt"
    torch.save(checkpoint, source)
    save_subject(load_subject(source, arch=ARCH), NEW, target)

    before, after = (torch.load(path, weights_only=True) for path in (source, target))
    assert list(after) == list(before)
    assert after["epoch"] == 3
    assert after["history"] == [1.0, (2, "three")]
    assert after["model"]["note"] == "kept"
    assert after["optimizer"]["param_groups"] == before["optimizer"]["param_groups"]
    for index, moments in before["optimizer"]["state"].items():
        assert torch.equal(after["optimizer"]["state"][index]["momentum_buffer"], moments["momentum_buffer"])
    for name, value in before["best"].items():
        assert torch.equal(after["best"][name], value)
    weights = after["model"]["state_dict"]
    assert list(weights) == list(state)
    for name, value in before["model"]["state_dict"].items():
        new = NEW.get(name.removeprefix("module."))
        assert weights[name].dtype == value.dtype
        assert torch.equal(weights[name], value if new is None else new.half())


def test_a_module_inside_a_checkpoint(tmp_path: Path) -> None:
    source, target = tmp_path / "net.pt", tmp_path / "fixed.pt"
    torch.save({"epoch": 3, "model": trained_net()}, source)
    save_subject(load_subject(source, trust=True), NEW, target, trust=True)
    after = torch.load(target, weights_only=False)
    assert after["epoch"] == 3
    assert isinstance(after["model"], SmallNet)
    assert after["model"].training
    assert torch.equal(after["model"].backbone[1].running_var, NEW["backbone.1.running_var"])


def test_safetensors_keep_their_metadata(tmp_path: Path) -> None:
    source, target = tmp_path / "net.safetensors", tmp_path / "fixed.safetensors"
    state = {
        name: value.bfloat16() if value.is_floating_point() else value
        for name, value in trained_net().state_dict().items()
    }
    source.write_bytes(safetensors.torch.save(state, {"format": "pt", "author": "someone"}))
    save_subject(load_subject(source, arch=ARCH), NEW, target)
    with safetensors.safe_open(target, "pt") as file:
        assert file.metadata() == {"format": "pt", "author": "someone"}
        assert file.get_tensor("backbone.1.running_var").dtype == torch.bfloat16
        assert torch.equal(file.get_tensor("head.weight"), state["head.weight"])


def test_archives_keep_their_extra_files(tmp_path: Path) -> None:
    script, program = tmp_path / "net.pt", tmp_path / "net.pt2"
    extra = {"labels.txt": "cat\ndog"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(trained_net().eval()), str(script), _extra_files=extra)
        torch.export.save(torch.export.export(trained_net().eval(), (INPUT,)), program, extra_files=extra)
    for source, read in ((script, torch.jit.load), (program, torch.export.load)):
        target = source.with_stem("fixed")
        save_subject(load_subject(source), NEW, target)
        found = {"labels.txt": ""}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            read(str(target), **{"_extra_files" if source is script else "extra_files": found})
        text = found["labels.txt"]
        assert (text.decode() if isinstance(text, bytes) else text) == "cat\ndog"


def test_shared_weights_stay_shared(tmp_path: Path) -> None:
    state = trained_net().state_dict()
    state["again"] = state["backbone.1.bias"]
    source, target = tmp_path / "net.pt", tmp_path / "fixed.pt"
    torch.save({"state_dict": {name: value for name, value in state.items() if name != "again"}, "other": 1}, source)
    save_subject(load_subject(source, arch=ARCH), NEW, target)
    assert torch.load(target, weights_only=True)["other"] == 1
    net = trained_net()
    net.alias = net.backbone[1]
    torch.save(net, source)
    target.unlink()
    save_subject(load_subject(source, trust=True), NEW, target, trust=True)
    after = torch.load(target, weights_only=False)
    assert after.alias is after.backbone[1]


def test_a_submodule_is_written_into_the_whole(tmp_path: Path) -> None:
    source, target = tmp_path / "net.pt", tmp_path / "fixed.pt"
    torch.save(trained_net().state_dict(), source)
    subject = load_subject(source, arch=ARCH, submodule="backbone")
    save_subject(subject, {"1.running_var": NEW["backbone.1.running_var"]}, target)
    after = torch.load(target, weights_only=True)
    assert torch.equal(after["backbone.1.running_var"], NEW["backbone.1.running_var"])
    assert "head.weight" in after


@pytest.mark.parametrize("name", ["fixed.pt", "fixed.safetensors"])
def test_a_network_from_code_becomes_a_state_dict(name: str, tmp_path: Path) -> None:
    subject = load_subject(ARCH)
    save_subject(subject, NEW, tmp_path / name)
    after = load_subject(tmp_path / name, arch=ARCH)
    assert after.format == ("safetensors" if name.endswith("safetensors") else "checkpoint")
    assert torch.equal(dict(after.model.named_buffers())["backbone.1.running_var"], NEW["backbone.1.running_var"])


def test_names_and_shapes_that_the_file_lacks(tmp_path: Path) -> None:
    source, target = tmp_path / "net.pt", tmp_path / "fixed.pt"
    torch.save(trained_net().state_dict(), source)
    subject = load_subject(source, arch=ARCH)
    with pytest.raises(WriteError, match=r"no tensor backbone\.9\.bias"):
        save_subject(subject, {"backbone.9.bias": torch.zeros(4)}, target)
    with pytest.raises(WriteError, match=r"has shape \(4,\) in this file, not \(5,\)"):
        save_subject(subject, {"backbone.1.bias": torch.zeros(5)}, target)
    assert not target.exists()


def test_plain_pickles_stay_plain(tmp_path: Path) -> None:
    source, target = tmp_path / "net.pkl", tmp_path / "fixed.pkl"
    source.write_bytes(pickle.dumps({"state_dict": trained_net().state_dict(), "epoch": 1}))
    save_subject(load_subject(source, arch=ARCH, trust=True), NEW, target, trust=True)
    after = pickle.loads(target.read_bytes())
    assert after["epoch"] == 1
    assert torch.equal(after["state_dict"]["backbone.1.bias"], NEW["backbone.1.bias"])
