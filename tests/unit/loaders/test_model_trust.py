"""What a file may not do without trust. Pickled payloads are shown to work where trust is given."""

import inspect
import io
import json
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils import _pytree as pytree

from qdiag.batches import Batch
from qdiag.capture.routes import export_program
from qdiag.errors import LoadError, UntrustedError
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.models.screens.exported import code_in_archive
from tests.models import KINDS
from tests.unit.loaders import model_files as files


def plain(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


def legacy(content: object, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def state() -> dict[str, torch.Tensor]:
    return files.trained_net().state_dict()


CONTENTS: dict[str, Callable[[files.Payload], object]] = {
    "alone": lambda payload: payload,
    "beside a state dict": lambda payload: {"state_dict": state(), "args": payload},
    "inside a state dict": lambda payload: {**state(), "evil": payload},
    "before the weights": lambda payload: [payload, state()],
}
WRITERS = {"torch.save": torch.save, "legacy torch.save": legacy, "plain pickle": plain}


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "executed"


@pytest.mark.parametrize("extension", [".pt", ".safetensors", ".pt2"])
@pytest.mark.parametrize("where", CONTENTS)
@pytest.mark.parametrize("how", WRITERS)
def test_a_pickled_payload_does_not_run(tmp_path: Path, marker: Path, how: str, where: str, extension: str) -> None:
    path = tmp_path / f"model{extension}"
    WRITERS[how](CONTENTS[where](files.Payload(marker)), path)
    for arch in (None, files.ARCH):
        with pytest.raises(UntrustedError) as caught:
            load_subject(path, arch=arch)
        assert not marker.exists()
        assert caught.value.at == str(path)
        assert "`trust`" in str(caught.value.hint)
        assert "`arch" in str(caught.value.hint)


@pytest.mark.parametrize("how", WRITERS)
def test_the_same_payload_runs_with_trust(tmp_path: Path, marker: Path, how: str) -> None:
    path = tmp_path / "model.pt"
    WRITERS[how]({"state_dict": state(), "args": files.Payload(marker)}, path)
    subject = load_subject(path, arch=files.ARCH, trust=True)
    assert marker.is_dir()
    assert subject.format == "checkpoint"


def test_an_environment_that_switches_the_restriction_off_is_overruled(
    tmp_path: Path, marker: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    torch.save(files.Payload(marker), tmp_path / "model.pt")
    with pytest.raises(UntrustedError):
        load_subject(tmp_path / "model.pt")
    assert not marker.exists()


def test_the_refusal_names_what_the_pickle_asks_for(tmp_path: Path) -> None:
    files.write_module(files.trained_net(), tmp_path / "model.pt")
    with pytest.raises(UntrustedError, match=r"model_files\.SmallNet"):
        load_subject(tmp_path / "model.pt")


def test_a_module_under_the_key_of_a_checkpoint_is_taken_with_trust(tmp_path: Path) -> None:
    torch.save({"epoch": 3, "ema": None, "model": files.trained_net()}, tmp_path / "yolo.pt")
    assert load_subject(tmp_path / "yolo.pt", trust=True).format == "pickle"


def test_a_class_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    path = tmp_path / "model.pt"
    path.write_bytes(pickle.dumps(files.trained_net()).replace(b"SmallNet", b"LostNett"))
    with pytest.raises(LoadError, match="LostNett") as caught:
        load_subject(path, trust=True)
    assert "`arch" in str(caught.value.hint)


@pytest.fixture
def exported(tmp_path: Path) -> Path:
    path = tmp_path / "model.pt2"
    files.write_exported(files.trained_net(), path)
    return path


@pytest.mark.parametrize("with_torch_save", [True, False])
def test_sample_inputs_of_a_program_do_not_run(exported: Path, marker: Path, with_torch_save: bool) -> None:
    """torch.export.load falls back to the unrestricted unpickler for them."""
    evil = exported.with_name("evil")
    (torch.save if with_torch_save else legacy)(((files.Payload(marker),), {}), evil)
    files.replace_member(exported, "sample_inputs/model.pt", lambda _: evil.read_bytes())
    with pytest.raises(UntrustedError):
        load_subject(exported)
    assert not marker.exists()
    load_subject(exported, trust=True)
    assert marker.is_dir()


def test_a_pickled_weight_of_a_program_does_not_run(exported: Path, marker: Path) -> None:
    """Weights marked `use_pickle` go straight to the unrestricted unpickler of torch.export.load."""
    evil = exported.with_name("evil")
    torch.save(files.Payload(marker), evil)

    def mark(config: bytes) -> bytes:
        content = json.loads(config)
        content["config"]["head.bias"]["use_pickle"] = True
        (exported.parent / "where").write_text(content["config"]["head.bias"]["path_name"])
        return json.dumps(content).encode()

    files.replace_member(exported, "model_weights_config.json", mark)
    files.replace_member(exported, (exported.parent / "where").read_text(), lambda _: evil.read_bytes())
    with pytest.raises(UntrustedError):
        load_subject(exported)
    assert not marker.exists()
    with pytest.raises(LoadError):  # a folder was made, and no weight came out
        load_subject(exported, trust=True)
    assert marker.is_dir()


def test_an_opaque_constant_of_a_program_does_not_run(exported: Path, marker: Path) -> None:
    """`pickle.loads` reads them."""
    name = "opaque_obj_0"
    constant = {"path_name": name, "is_param": False, "use_pickle": True, "tensor_meta": None}
    config = json.dumps({"config": {"constant": constant}}).encode()
    files.replace_member(exported, "model_constants_config.json", lambda _: config)
    add_member(exported, f"data/constants/{name}", pickle.dumps(files.Payload(marker)))
    with pytest.raises(UntrustedError, match="a pickled object 'opaque_obj_0'"):
        load_subject(exported)
    assert not marker.exists()
    load_subject(exported, trust=True)
    assert marker.is_dir()


def add_member(path: Path, name: str, content: bytes) -> None:
    with zipfile.ZipFile(path, "a") as archive:
        root = archive.namelist()[0].split("/")[0]
        archive.writestr(f"{root}/{name}", content)


def edit_program(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    def rewrite(text: bytes) -> bytes:
        program = json.loads(text)
        change(program)
        return json.dumps(program).encode()

    files.replace_member(path, "models/model.json", rewrite)


def test_a_shape_expression_of_a_program_does_not_run(exported: Path, marker: Path) -> None:
    """sympy evaluates these texts with `eval`."""
    evil = f"Max.__new__.__globals__['__builtins__']['__import__']('os').mkdir({str(marker)!r})"
    edit_program(exported, lambda program: _first(program, "expr_str").update(expr_str=evil))
    with pytest.raises(UntrustedError, match="a shape expression"):
        load_subject(exported)
    assert not marker.exists()
    with pytest.raises(LoadError):  # the folder is made, but it is no size of a tensor
        load_subject(exported, trust=True)
    assert marker.is_dir()


@pytest.mark.parametrize(
    "expression",
    [
        "__import__('os').mkdir('executed')",
        "().__class__.__base__.__subclasses__()",
        "S.func.__globals__['sys']",
        "lambda: 1",
        "[x for x in (1,)]",
        "s0 if s0 else 1",
        "sympify(1)",
        "preview(1)",
        "Max(s0, key=1)",
        "Symbol('s0', positive=print(1))",
        "(s0 #\n.__class__)",
        "'s0'",
        "s0\\\n.is_integer",
    ],
)
def test_a_shape_expression_that_is_more_than_arithmetic_is_refused(exported: Path, expression: str) -> None:
    edit_program(exported, lambda program: _first(program, "expr_str").update(expr_str=expression))
    with pytest.raises(UntrustedError, match="a shape expression"):
        load_subject(exported)


@pytest.mark.parametrize(
    "target",
    [
        "torch.os.mkdir",
        "torch.load",
        "torch.hub.load",
        "torch.ops.load_library",
        "torch.ops.aten.from_file.default",
        "torch.ops.aten.__class__",
        "torch.ops.aten.relu.default.__class__",
        "_operator.attrgetter",
        "_operator.methodcaller",
        "#executorch:anything",
    ],
)
def test_a_node_that_calls_something_else_than_an_operator_is_refused(exported: Path, target: str) -> None:
    edit_program(exported, lambda program: program["graph_module"]["graph"]["nodes"][0].update(target=target))
    with pytest.raises(UntrustedError, match="a call of"):
        load_subject(exported)


@pytest.mark.parametrize(
    "context",
    [
        {"__enum__": True, "fqn": "antigravity:X", "name": "X"},
        {"default_factory_module": "os", "default_factory_name": "abort", "dict_context": []},
        {"default_factory_module": "builtins", "default_factory_name": "breakpoint", "dict_context": []},
    ],
)
def test_an_input_specification_that_imports_is_refused(exported: Path, context: dict[str, object]) -> None:
    """The specification is JSON in a text in JSON, and its contexts are JSON in texts once more."""
    spec = json.dumps([1, {"type": "builtins.dict", "context": json.dumps(context), "children_spec": []}])
    edit_program(exported, lambda program: _first(program, "in_spec").update(in_spec=spec))
    with pytest.raises(UntrustedError, match=r"specification|breakpoint|abort"):
        load_subject(exported)


def test_compiled_code_in_an_archive_is_refused(exported: Path) -> None:
    add_member(exported, "data/aotinductor/model/code.so", b"\x7fELF")
    with pytest.raises(UntrustedError, match="a compiled program"):
        load_subject(exported)


@pytest.mark.parametrize("name", ["models/other.json", "models/other.txt"])
def test_a_second_program_in_an_archive_is_refused(exported: Path, name: str) -> None:
    """torch reads every program in the folder, whatever its name ends in, and hands out the one called `model`."""
    add_member(exported, name, b"{}")
    with pytest.raises(UntrustedError, match="a second program"):
        load_subject(exported)


def test_guards_are_left_out_without_trust(exported: Path) -> None:
    """They are Python source, compiled when the program is turned into a module."""
    evil = ["torch.os.mkdir('executed')"]
    edit_program(exported, lambda program: program.update(guards_code=evil))
    assert load_subject(exported).model._guards_code == []  # type: ignore[union-attr]
    assert load_subject(exported, trust=True).model._guards_code == evil  # type: ignore[union-attr]


def _first(content: object, key: str) -> dict[str, Any]:
    """The first dictionary that has `key`, at any depth."""
    found = list(_holders(content, key))
    assert found, key
    return found[0]


def _holders(content: object, key: str) -> list[dict[str, Any]]:
    if isinstance(content, dict):
        inner = [holder for value in content.values() for holder in _holders(value, key)]
        return [content, *inner] if key in content else inner
    if isinstance(content, list):
        return [holder for value in content for holder in _holders(value, key)]
    return []


@pytest.mark.filterwarnings("ignore")  # of torch.export, about its own internals
@pytest.mark.parametrize("kind", KINDS)
def test_ordinary_programs_hold_no_code(kind: str) -> None:
    """Every kind of graph that we measure, with a free batch size."""
    args, kwargs = KINDS[kind].inputs(batch=2, seed=0)
    stream = io.BytesIO()
    torch.export.save(export_program(KINDS[kind].build(), Batch(args, kwargs)).program, stream)
    with zipfile.ZipFile(stream) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    assert "models/model.json" in members
    assert code_in_archive(members, kind) is None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["no_parameters", "vit_sdpa", "dictionary", "vit_written_out"])
def test_programs_whose_sizes_are_expressions_pass(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every axis is free. These kinds hold every function, sign and operator of sizes that any of them holds.

    torch reads each once: no child process reads it first, as one does in the other tests of this file.
    """
    monkeypatch.setattr("qdiag.loaders.probe.can_probe", lambda: False)
    model = KINDS[kind].build()
    args, kwargs = KINDS[kind].inputs(batch=3, seed=0)
    names = list(inspect.signature(model.forward).parameters)
    given = {**dict(zip(names, args, strict=False)), **kwargs}
    free = pytree.tree_map(lambda tensor: dict.fromkeys(range(tensor.ndim), torch.export.Dim.AUTO), given)
    program = torch.export.export(model, args, kwargs, dynamic_shapes=free, strict=False)
    torch.export.save(program, tmp_path / "model.pt2")
    assert load_subject(tmp_path / "model.pt2").format == "exported_program"
