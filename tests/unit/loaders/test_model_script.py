"""TorchScript is code: what it may call without trust, and that nothing else of it runs."""

import io
import json
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from qdiag.cli.app import run
from qdiag.errors import LoadError, UntrustedError
from qdiag.loaders.archive import read_archive, root_of, write_archive
from qdiag.loaders.models.formats import load_subject
from qdiag.loaders.models.screens import operators
from qdiag.loaders.models.screens.operators import may_run
from qdiag.loaders.models.screens.torchscript import screen_script
from qdiag.loaders.models.torchscript_prints import without_prints
from tests.models import KINDS
from tests.unit.loaders import model_files as files


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "model.ts"
    files.write_scripted(files.trained_net(), path)
    return path


def edit_code(path: Path, change: Callable[[str], str]) -> None:
    """Changes the code of the network's own class."""
    members = read_archive(path)
    name = next(name for name in members if name.endswith("model_files.py"))
    members[name] = change(members[name].decode()).encode()
    path.write_bytes(write_archive(members).getvalue())


def with_state(body: str) -> Callable[[str], str]:
    """Adds a `__setstate__`, which torch calls while it loads, with `body` in it."""
    return lambda code: (
        code
        + (
            "  def __setstate__(self: __torch__.tests.unit.loaders.model_files.SmallNet,\n"
            "    state: Tuple[Tensor, bool]) -> NoneType:\n"
            + "".join(f"    {line}\n" for line in body.splitlines())
            + "    return None\n"
        )
    )


class Writes(nn.Module):
    """Saved with a state of its own, so that `__setstate__` runs while the file is loaded."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path, self.weight = path, nn.Parameter(torch.ones(3))

    @torch.jit.export
    def __getstate__(self) -> tuple[str, Tensor, bool]:
        return self.path, self.weight, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, Tensor, bool]) -> None:
        self.path, self.weight, self.training = state[0], state[1], state[2]
        torch.save(self.weight, self.path)

    def forward(self, x: Tensor) -> Tensor:
        return x * self.weight


class Prints(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 4, 3)

    def forward(self, x: Tensor) -> Tensor:
        print("printed by the model", x.shape)
        return self.layer(x)


def save_script(model: nn.Module, path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(model.eval()), str(path))


def test_a_file_that_writes_while_it_is_loaded_writes_nothing(tmp_path: Path) -> None:
    """Found by attacking: `aten::save` in `__setstate__` overwrote any file, `qdiag bn` among the commands."""
    victim, path = tmp_path / "victim", tmp_path / "model.ts"
    save_script(Writes(str(victim)), path)
    victim.write_text("precious")
    with pytest.raises(UntrustedError, match="aten::save") as caught:
        load_subject(path)
    assert "`trust`" in str(caught.value.hint)
    for command in ("bn", "sqnr", "ranges", "sensitivity", "rank"):
        assert run([command, str(path), *([] if command == "bn" else ["--input-shape", "1,3"])]) == 2
    assert run(["fix-bn", str(path), "-o", str(tmp_path / "fixed.ts")]) == 2
    assert victim.read_text() == "precious"
    load_subject(path, trust=True)
    assert victim.read_bytes() != b"precious"


HOSTILE = {
    "operator": "torch.save(self, 'x')",
    "method": "(self).save('x', )",
    "method of a tensor": "_0 = (state)[0]\n(_0).save('x', )",
    "alias of an operator": "_0 = torch.save\n_0(self, 'x')",
    "alias of a namespace": "_0 = torch\n(_0).save(self, 'x')",
    "alias of operators": "_0 = ops\n(_0).aten.save(self, 'x')",
    "alias of a group of operators": "_0 = ops.c10d\n(_0).barrier(self)",
    "alias of packages": "_0 = __torch__.torch\n_1 = (_0).classes.dist_c10d.FileStore('x', 1)",
    "other way to name it": "ops.aten.save(self, 'x')",
    "file as a tensor": "_0 = torch.from_file('/etc/passwd', False, 10)",
    "class that writes": "_0 = __torch__.torch.classes.dist_c10d.FileStore('x', 1)",
    "looked up by name": "_0 = getattr(self, 'save')\n_0('x')",
    "called where it was looked up": "getattr(self, 'save')('x')",
    "name with two meanings": "_0 = __torch__.x.f\n_0 = getattr(self, 'save')\n_0('x')",
    "task of its own": "_0 = fork(self, state)",
    "remote call": "_0 = ops.prim.rpc_async('x', self, state)",
    "state of the process": "torch.manual_seed(0)",
    "private operator": "torch._cufft_set_plan_cache_max_size(0, 0)",
    "comment": "# type: (int) -> int\npass",
    "text with a letter": "_0 = r'x'",
    "broken line": "_0 = \\\n  torch",
    "letters that look alike": "_0 = t\u043erch",
    "lambda": "_0 = lambda: 1",
}


@pytest.mark.parametrize("attack", HOSTILE)
def test_code_that_does_more_than_compute_asks_for_trust(
    attack: str, script: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    before = sorted(tmp_path.iterdir())
    edit_code(script, with_state(HOSTILE[attack]))
    with pytest.raises(UntrustedError, match="could do more than compute"):
        load_subject(script)
    assert sorted(tmp_path.iterdir()) == before


def test_the_screen_lets_the_same_code_through_without_the_attack(script: Path) -> None:
    edit_code(script, with_state("_0 = torch.add((state)[0], 1)\n_1 = int(3.5)"))
    members = read_archive(script)
    root = root_of(tuple(members))
    assert screen_script({name.removeprefix(root): text for name, text in members.items()}).code is None


def test_objects_of_torchs_own_classes_ask_for_trust(script: Path) -> None:
    members = read_archive(script)
    name = next(name for name in members if name.endswith("/data.pkl"))
    members[name] = members[name].replace(b"__torch__.tests", b"__torch__.torch.classes.dist_c10d.FileStore\n\x80c", 1)
    script.write_bytes(write_archive(members).getvalue())
    with pytest.raises(UntrustedError, match=r"torch\.classes\.dist_c10d"):
        load_subject(script)


@pytest.mark.parametrize("kind", ["script", "trace"])
@pytest.mark.filterwarnings("ignore")
def test_ordinary_networks_need_no_trust(kind: str) -> None:
    seen = 0
    for network in KINDS.values():
        model = network.build().eval()
        args, _ = network.inputs(batch=2, seed=0)
        try:
            made = torch.jit.script(model) if kind == "script" else torch.jit.trace(model, args, check_trace=False)
        except Exception:  # not every network can be scripted or traced
            continue
        stream = io.BytesIO()
        torch.jit.save(made, stream)
        with zipfile.ZipFile(stream) as archive:
            names = archive.namelist()
            members = {name.removeprefix(root_of(tuple(names))): archive.read(name) for name in names}
        facts = screen_script(members)
        assert facts.code is None, network
        assert facts.quantized is None
        seen += 1
    assert seen > 20


def test_what_a_model_prints_is_not_heard(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "model.ts"
    save_script(Prints(), path)
    load_subject(path)
    assert run(["sqnr", str(path), "--input-shape", "1,3,8,8", "--samples", "4", "--json", "-", "--quiet"]) == 0
    captured = capfd.readouterr()
    assert "printed by the model" not in captured.out
    assert captured.out.startswith("{")


def test_a_statement_that_prints_is_dropped_and_nothing_else() -> None:
    source = b"def f(x):\n  print(x,\n    1)\n  if x:\n    print(2)\n  return printed(x)\n"
    assert without_prints(source) == b"def f(x):\n  pass\n\n  if x:\n    pass\n  return printed(x)\n"


@pytest.mark.filterwarnings("ignore")
def test_a_network_that_is_quantized_already_is_told_so(tmp_path: Path) -> None:
    if "fbgemm" not in torch.backends.quantized.supported_engines:
        pytest.skip("this torch has no quantized operators")
    model = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
    path = tmp_path / "quantized.ts"
    save_script(torch.ao.quantization.quantize_dynamic(model, {nn.Linear}), path)
    for trust in (False, True):
        with pytest.raises(LoadError, match="is quantized already"):
            load_subject(path, trust=trust)


def test_operators_that_reach_beyond_their_tensors_may_not_run() -> None:
    for name in ("save", "from_file", "set_", "manual_seed", "backward", "wait", "to_here", "_cuda_x", "__class__"):
        assert not may_run("aten", name), name
    for namespace, name in (("c10d", "barrier"), ("prim", "rpc_async"), ("image", "write_file"), ("inductor", "x")):
        assert not may_run(namespace, name), namespace
    for name in ("conv2d", "relu_", "__and__", "einsum", "_softmax", "append", "div"):
        assert may_run("aten", name), name


def test_axes_may_have_names_as_in_older_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    """torch before 2.12 has such schemas; files are named by text in the same way, and stay withheld."""
    schemas = (
        "aten::mean.names_dim(Tensor self, str[1] dim, bool keepdim=False) -> Tensor",
        "aten::flatten.named_out_dim(Tensor(a) self, int start_dim, int end_dim, str out_dim) -> Tensor(a)",
        "aten::full.names(int[] size, Scalar fill_value, *, str[]? names) -> Tensor",
        "aten::sort.file(Tensor self, str filename) -> Tensor",
    )
    by_name = {schema.partition(".")[0]: torch._C.parse_schema(schema) for schema in schemas}
    monkeypatch.setattr(torch._C, "_jit_get_schemas_for_operator", lambda name: [by_name[name]])
    assert [operators._is_aten(name) for name in ("mean", "flatten", "full", "sort")] == [True, True, True, False]
    assert all(operators._is_aten(name) for name in ("dim", "numel")), "no operators of the dispatcher there"


def test_what_a_network_from_code_prints_goes_to_standard_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("net.py").write_text(
        "import torch\n"
        "print('imported')\n"
        "class Net(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        print('built')\n"
        "        self.layer = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))\n"
        "    def forward(self, x):\n"
        "        print('ran')\n"
        "        return self.layer(x)\n"
    )
    for words in (["sqnr", "--input-shape", "1,3,8,8", "--samples", "4"], ["bn"]):
        assert run([words[0], "./net.py:Net", *words[1:], "--json", "-", "--quiet"]) == 0
        captured = capfd.readouterr()
        assert isinstance(json.loads(captured.out), dict)
        assert "built" in captured.err
