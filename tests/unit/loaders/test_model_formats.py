"""Every format, told by content: the same network comes out of each."""

import os
import random
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.export import ExportedProgram

from qdiag.errors import ConfigError, LoadError
from qdiag.loaders.models.formats import LOADERS, fingerprint, load_subject, parameter_count
from qdiag.subject import Subject
from tests.unit.loaders import model_files as files

Writer = Callable[[nn.Module, Path], None]

# (how it is written, format that must be recognized, does it need --arch, does it need --trust)
FORMATS: dict[str, tuple[Writer, str, bool, bool]] = {
    "exported": (files.write_exported, "exported_program", False, False),
    "scripted": (files.write_scripted, "torchscript", False, False),
    "traced": (files.write_traced, "torchscript", False, False),
    "module": (files.write_module, "pickle", False, True),
    "legacy module": (files.write_legacy_module, "pickle", False, True),
    "plain pickle": (files.write_plain_pickle, "pickle", False, True),
    "state dict": (files.write_state_dict, "checkpoint", True, False),
    "legacy state dict": (files.write_legacy_state_dict, "checkpoint", True, False),
    "safetensors": (files.write_safetensors, "safetensors", True, False),
}
every_format = pytest.mark.parametrize("kind", FORMATS)
EXTENSIONS = (".pt", ".pt2", ".safetensors", ".pth", ".png", "")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One file of each format, each called after its kind and without extension."""
    folder = tmp_path_factory.mktemp("formats")
    for kind, (write, *_) in FORMATS.items():
        write(files.trained_net(), folder / kind)
    return folder


def read(path: Path, kind: str) -> Subject:
    _, _, needs_arch, needs_trust = FORMATS[kind]
    return load_subject(path, arch=files.ARCH if needs_arch else None, trust=needs_trust)


def run(subject: Subject) -> torch.Tensor:
    model = subject.model
    with torch.no_grad():
        return (model.module() if isinstance(model, ExportedProgram) else model)(files.INPUT)


@every_format
def test_the_network_computes_what_the_saved_one_did(folder: Path, kind: str) -> None:
    subject = read(folder / kind, kind)
    with torch.no_grad():
        expected = files.trained_net().eval()(files.INPUT)
    assert subject.format == FORMATS[kind][1]
    assert subject.source == str(folder / kind)
    assert subject.architecture == (files.ARCH if FORMATS[kind][2] else "SmallNet")
    torch.testing.assert_close(run(subject), expected)


@every_format
def test_it_is_in_eval_mode_and_wants_no_gradients(folder: Path, kind: str) -> None:
    model = read(folder / kind, kind).model
    if isinstance(model, nn.Module):
        assert not any(module.training for module in model.modules())
        assert not any(parameter.requires_grad for parameter in model.parameters())


def test_the_fingerprint_is_that_of_the_weights_not_of_the_file(folder: Path) -> None:
    subjects = [read(folder / kind, kind) for kind in FORMATS]
    assert len({fingerprint(subject) for subject in subjects}) == 1
    assert {parameter_count(subject) for subject in subjects} == {3 * 4 * 9 + 4 + 4 + 4 + 4 * 5 + 5}


@pytest.mark.parametrize("extension", EXTENSIONS)
@every_format
def test_extensions_may_lie(
    folder: Path, tmp_path: Path, kind: str, extension: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The format is told before a child process would read it first."""
    monkeypatch.setattr("qdiag.loaders.probe.can_probe", lambda: False)
    liar = tmp_path / f"model{extension}"
    liar.write_bytes((folder / kind).read_bytes())
    assert read(liar, kind).format == FORMATS[kind][1]


@every_format
def test_the_process_and_the_file_are_left_as_they_were(
    folder: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "0")
    path = folder / kind

    def state() -> tuple[object, ...]:
        return (
            path.read_bytes(),
            path.stat().st_mtime_ns,
            sorted(entry.name for entry in folder.iterdir()),
            dict(os.environ),
            list(sys.path),
            list(warnings.filters),
            torch.random.get_rng_state().tolist(),
            random.getstate(),
        )

    before = state()
    read(path, kind)
    assert state() == before


@every_format
@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9, 0.995])
def test_a_truncated_file_is_one_clear_error(folder: Path, tmp_path: Path, kind: str, kept: float) -> None:
    whole = (folder / kind).read_bytes()
    cut = tmp_path / kind
    cut.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(LoadError) as caught:
        read(cut, kind)
    assert caught.value.at == str(cut)
    assert "\n" not in str(caught.value)
    assert caught.value.hint


@every_format
def test_a_damaged_middle_gives_an_error_of_ours_or_a_network(folder: Path, tmp_path: Path, kind: str) -> None:
    # Some bytes are weights, and nobody can tell: what matters is that no other exception comes out.
    whole = (folder / kind).read_bytes()
    damaged = tmp_path / kind
    for place in range(12, len(whole) - 40, max(1, len(whole) // 12)):
        damaged.write_bytes(whole[:place] + b"\xff" * 20 + whole[place + 20 :])
        try:
            read(damaged, kind)
        except LoadError as error:
            assert "\n" not in str(error)


@pytest.mark.parametrize("kind", ["exported", "scripted", "module"])
def test_an_architecture_for_a_file_that_has_one_is_refused(folder: Path, kind: str) -> None:
    with pytest.raises(LoadError, match="already holds its architecture") as caught:
        load_subject(folder / kind, arch=files.ARCH, trust=True)
    assert "leave `arch` out" in str(caught.value.hint)


@pytest.mark.parametrize("kind", ["state dict", "legacy state dict", "safetensors"])
def test_weights_alone_ask_for_the_architecture(folder: Path, kind: str) -> None:
    with pytest.raises(LoadError, match="not the network they belong to") as caught:
        load_subject(folder / kind)
    for form in ("zoo:", "package.module:factory", "./net.py:factory"):
        assert form in str(caught.value.hint)


def test_an_architecture_of_no_known_form_is_refused(folder: Path) -> None:
    with pytest.raises(ConfigError, match="names no network"):
        load_subject(folder / "state dict", arch="mobilenet")


def test_arguments_reach_the_factory(tmp_path: Path) -> None:
    files.write_state_dict(files.SmallNet(width=6), tmp_path / "wide.pt")
    subject = load_subject(tmp_path / "wide.pt", arch=f"{files.ARCH}?width=6")
    assert subject.model.head.in_features == 6
    with pytest.raises(ConfigError, match="no argument 'widht'") as caught:
        load_subject(tmp_path / "wide.pt", arch=f"{files.ARCH}?widht=6")
    assert "width" in str(caught.value.hint)


def test_a_file_of_python_gives_the_architecture(tmp_path: Path) -> None:
    (tmp_path / "net.py").write_text(
        "from torch import nn\ndef head(size=3): return nn.Linear(size, 2)\nnumber = 3\ndef text(): return 'no'\n"
        "def broken(): raise RuntimeError('no such luck')\n"
    )
    torch.save(nn.Linear(5, 2).state_dict(), tmp_path / "head.pt")
    arch = f"{tmp_path}/net.py"
    assert load_subject(tmp_path / "head.pt", arch=f"{arch}:head?size=5").format == "checkpoint"
    for name, message in (
        ("haed", "no 'haed' in it"),
        ("number", "this is an object of type int, not a function that builds a network"),
        ("text", "of type str, not an nn.Module"),
        ("broken", "no such luck"),
    ):
        with pytest.raises(LoadError, match=message):
            load_subject(tmp_path / "head.pt", arch=f"{arch}:{name}")


@pytest.mark.parametrize("reference", ["zoo:mobilenet_v1_small", files.ARCH, f"{files.ARCH}?width=6"])
def test_code_alone_is_a_model_too(reference: str) -> None:
    first, second = load_subject(reference), load_subject(reference)
    assert first.format == "module"
    assert fingerprint(first) == fingerprint(second)
    with pytest.raises(LoadError, match="already builds a network"):
        load_subject(reference, arch=files.ARCH)


def test_a_module_object_of_someone_else_is_copied(tmp_path: Path) -> None:
    (tmp_path / "shared.py").write_text("from torch import nn\nnet = nn.Linear(2, 2).train()\n")
    from qdiag.loaders.python_ref import load_object

    reference = f"{tmp_path}/shared.py:net"
    subject, theirs = load_subject(reference), load_object(reference)
    assert isinstance(theirs, nn.Module)
    assert subject.model is not theirs
    assert theirs.training
    assert theirs.weight.requires_grad


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_float_types_become_float32(tmp_path: Path, dtype: torch.dtype) -> None:
    net = files.trained_net().to(dtype)
    files.write_state_dict(net, tmp_path / "weights.pt")
    files.write_module(net, tmp_path / "module.pt")
    for subject in (
        load_subject(tmp_path / "weights.pt", arch=files.ARCH),
        load_subject(tmp_path / "module.pt", trust=True),
    ):
        assert isinstance(subject.model, nn.Module)
        assert {parameter.dtype for parameter in subject.model.parameters()} == {torch.float32}
        torch.testing.assert_close(subject.model.head.weight, net.head.weight.float(), rtol=0, atol=0)


def test_the_layout_of_older_torch_is_read(tmp_path: Path) -> None:
    from torch._export.serde.schema import SCHEMA_VERSION
    from torch._export.serde.serialize import serialize

    net = files.trained_net().eval()
    artifact = serialize(torch.export.export(net, (files.INPUT,), strict=False))
    path = tmp_path / "old.pt2"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("version", ".".join(map(str, SCHEMA_VERSION)))
        archive.writestr("serialized_exported_program.json", artifact.exported_program)
        archive.writestr("serialized_state_dict.pt", artifact.state_dict)
        archive.writestr("serialized_constants.pt", artifact.constants)
        archive.writestr("serialized_example_inputs.pt", artifact.example_inputs)
    subject = load_subject(path)
    assert subject.format == "exported_program"
    with torch.no_grad():
        torch.testing.assert_close(run(subject), net(files.INPUT))


def test_formats_are_told_apart(folder: Path) -> None:
    from qdiag.loaders.models.file import peek

    for kind in FORMATS:
        assert sum(loader.matches(peek(folder / kind)) for loader in LOADERS) == 1
