"""No option that writes replaces what another one reads: every pair of every command, and what only a run can know."""

import itertools
import json
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_args, get_type_hints

import numpy as np
import pytest
import typer
from PIL import Image

from qdiag.cli.app import COMMANDS, run
from qdiag.cli.options.roles import Reads, ReadsOrWrites, Writes, role_of
from qdiag.demo_assets import DEMO_ARCH, demo_data_path, demo_model_path
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import diagnosis, healthy_diagnosis

Capture = pytest.CaptureFixture[str]

NO_PATHS = {
    *("submodule", "input_shape", "mean", "std", "set_", "layers", "train_layers", "refit_blocks", "with_", "code"),
    *(
        "max_drop",
        "max_relative_drop",
        "min_accuracy",
        "max_flips",
        "max_metric_drop",
        "min_metric",
        "max_metric",
        "warn_drop",
        "warn_relative_drop",
        "warn_accuracy",
        "warn_flips",
        "warn_metric_drop",
        "warn_min_metric",
        "warn_max_metric",
        "warn_tolerance",
        "warn_tolerance_metric",
        "tolerance",
        "tolerance_metric",
    ),
    *("allow", "forbid", "warn_code", "key", "arg", "judged_output"),
}
"""Parameters that take text which names no file; a new one is put here, or gets a role."""

_ONE_FILE = ("fix-bn", "fold", "repair", "qat", "export", "ranges")
"""Commands whose output is one file, which --force replaces."""

INPUTS = {
    "model": "net.pt",
    "quantized": "int8.onnx",
    "arch": "./arch.py:make",
    "data": "photos",
    "calib_data": "calib.npz",
    "train_data": "calib.npz",
    "targets": "masks",
    "scheme": "own.toml",
    "metric": "./metric.py:score",
    "loss": "./loss.py:fn",
    "result": "run/diagnosis.json",
    "diagnosis": "run",
    "before": "old",
    "after": "new/diagnosis.json",
    "config": "limits.toml",
    "baseline": "base.json",
}
FILES = {
    "data": ("photos/cat/1.png", "photos/labels.csv", "photos/boxes.json"),
    "targets": ("masks/1.png",),
    "arch": ("arch.py",),
    "metric": ("metric.py",),
    "loss": ("loss.py",),
    "diagnosis": ("run/diagnosis.json",),
    "before": ("old/diagnosis.json",),
}
"""What the inputs lead to, where it is not a file of that name."""


def parameters(command: str) -> dict[str, Any]:
    """Annotations of a command's options and arguments."""
    module = next(module for name, module, _ in COMMANDS if name == command)
    function = getattr(import_module(module), command.replace("-", "_"))
    hints = get_type_hints(function, include_extras=True)
    return {name: hint for name, hint in hints.items() if name != "return"}


def flag(name: str, annotation: Any) -> list[str]:
    """How the command line names a parameter; nothing for an argument."""
    info = next(item for item in get_args(annotation)[1:] if isinstance(item, typer.models.ParameterInfo))
    if isinstance(info, typer.models.ArgumentInfo):
        return []
    # in an annotation the first name stands where a default would
    texts = (info.default, *(info.param_decls or ()))
    declared = [text for text in texts if isinstance(text, str) and text.startswith("--")]
    return [declared[0] if declared else f"--{name.replace('_', '-')}"]


def takes_text(annotation: Any) -> bool:
    kind = get_args(annotation)[0]
    kinds = {kind, *get_args(kind), *itertools.chain(*(get_args(inner) for inner in get_args(kind)))}
    return bool(kinds & {str, Path})


def pairs() -> Iterator[tuple[str, str, str]]:
    """Command, output, input."""
    for command, _, _ in COMMANDS:
        roles = {name: role_of(hint) for name, hint in parameters(command).items()}
        for output, reading in itertools.product(roles, roles):
            writes = isinstance(roles[output], Writes | ReadsOrWrites)
            if writes and isinstance(roles[reading], Reads):
                yield command, output, reading


@pytest.fixture
def inputs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a file for every input: nothing that could be loaded, since nothing gets that far."""
    names = {name for name in INPUTS.values() if "/" not in name and name not in ("photos", "masks", "run", "old")}
    for name in ("run/diagnosis.json", "new/diagnosis.json", *names, *itertools.chain(*FILES.values())):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"the content of {name}")
    (tmp_path / INPUTS["quantized"]).write_bytes(b"\x08\x08\x12 the beginning of an ONNX file")  # told before the run
    (tmp_path / "limits.toml").write_text("[gate]\nmax_drop = 1\n")  # read before the baseline is known
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "QDIAG_")):
            monkeypatch.delenv(name)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def line_of(command: str) -> list[str]:
    """A command line with all inputs."""
    words = [command]
    if command == "repair":
        words += ["--with", "equalize"]
    if command == "reproduce":
        words += ["qat"]
    for name, annotation in parameters(command).items():
        if isinstance(role_of(annotation), Reads):
            words += [*flag(name, annotation), INPUTS[name]]
    return words


def test_every_option_that_takes_text_says_what_it_does_with_files() -> None:
    unknown = [
        f"{command} {name}"
        for command, _, _ in COMMANDS
        for name, annotation in parameters(command).items()
        if takes_text(annotation) and role_of(annotation) is None and name not in NO_PATHS
    ]
    assert not unknown, "give it Reads() or Writes(), or name it in NO_PATHS"


def test_the_walk_covers_what_there_is() -> None:
    found = set(pairs())
    assert len(found) >= 60
    assert {("sqnr", "json", "data"), ("gate", "junit", "result"), ("fix-bn", "output", "data")} <= found
    assert {("gate", "baseline", "config"), ("report", "output", "before"), ("compare", "markdown", "after")} <= found


@pytest.mark.parametrize(("command", "output", "reading"), sorted(pairs()))
def test_an_output_over_an_input_is_refused_before_anything_starts(
    command: str, output: str, reading: str, inputs: Path, capsys: Capture
) -> None:
    annotation = parameters(command)[output]
    for file in FILES.get(reading, (INPUTS[reading],)):
        words = line_of(command)
        target = inputs / (
            "link.json" if (command, output) == ("ranges", "output") else "link.png"
        )  # as they are asked for
        target.hardlink_to(inputs / file)
        if output in ("out", "output") and command not in _ONE_FILE:
            (inputs / "folder").mkdir(exist_ok=True)
            role = role_of(annotation)
            assert isinstance(role, Writes)
            target = target.rename(inputs / "folder" / next(reversed(list(role.files("")))))
            words += [*flag(output, annotation), "folder"]
        else:
            words += [*flag(output, annotation), str(target)]
        words += ["--update-baseline"] if output == "baseline" else []
        words += ["--force"] if command in _ONE_FILE and command != "ranges" else []
        before = contents(inputs)
        assert run(words) == 2
        error = capsys.readouterr().err
        assert "it would be written over" in error, error
        assert target.name in error
        assert contents(inputs) == before
        target.unlink()


def test_two_outputs_do_not_share_a_file(inputs: Path, capsys: Capture) -> None:
    assert run(["sqnr", "net.pt", "--json", "out", "--csv", "photos/../out"]) == 2
    assert "two options would write to the same file" in capsys.readouterr().err
    assert not (inputs / "out").exists()


# What lies behind is known only while a command runs: real models, images and results.


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name, made in (("old", diagnosis()), ("new", healthy_diagnosis())):
        (tmp_path / name).mkdir()
        (tmp_path / name / "diagnosis.json").write_text(diagnosis_to_json(made), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith(("GITHUB_", "QDIAG_")):
            monkeypatch.delenv(name)
    return tmp_path


def refused(line: str, folder: Path, capsys: Capture) -> None:
    before = contents(folder)
    assert run(line.split()) == 2
    assert "it would be written over" in capsys.readouterr().err
    assert contents(folder) == before


@pytest.mark.parametrize("option", ["--json", "--junit", "--sarif", "--markdown"])
@pytest.mark.parametrize("name", ["new", "new/diagnosis.json"])
def test_a_gate_does_not_write_over_its_diagnosis(option: str, name: str, stored: Path, capsys: Capture) -> None:
    refused(f"gate {name} --max-drop 1 {option} new/diagnosis.json", stored, capsys)
    refused(f"gate {name} --max-drop 1 --baseline new/diagnosis.json --update-baseline", stored, capsys)


def test_a_gate_does_not_write_over_its_limits_or_its_baseline(stored: Path, capsys: Capture) -> None:
    (stored / "limits.toml").write_text("[gate]\nmax_drop = 1\nbaseline = 'base.json'\ntolerance = 0.5\n")
    assert run(["gate", "new", "--baseline", "base.json", "--update-baseline", "-q"]) == 0
    refused("gate new --config limits.toml --json limits.toml", stored, capsys)
    refused("gate new --config limits.toml --json base.json", stored, capsys)
    (stored / "limits.toml").rename(stored / "qdiag.toml")
    refused("gate new --json qdiag.toml", stored, capsys)
    refused("gate new --json base.json", stored, capsys)
    refused("gate new --baseline qdiag.toml --update-baseline", stored, capsys)


def test_the_summary_of_a_step_is_not_added_to_a_diagnosis(
    stored: Path, capsys: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(stored / "new" / "diagnosis.json"))
    refused("gate new --max-drop 1", stored, capsys)


def test_a_report_does_not_replace_the_diagnosis_that_it_compares_with(stored: Path, capsys: Capture) -> None:
    refused("report new --before old/diagnosis.json -o old", stored, capsys)
    refused("report new --before old -o old", stored, capsys)


def test_a_report_is_drawn_again_beside_its_diagnosis(stored: Path) -> None:
    kept = (stored / "new" / "diagnosis.json").read_bytes()
    for _ in range(2):
        assert run(["report", "new", "-o", "new", "--format", "json", "--format", "md"]) == 0
    assert (stored / "new" / "diagnosis.json").read_bytes() == kept
    assert (stored / "new" / "report.md").exists()


@pytest.mark.usefixtures("one_picture_drawn")
def test_pictures_of_an_earlier_report_are_deleted_only_where_nothing_was_read(stored: Path, capsys: Capture) -> None:
    plots = stored / "out" / "plots"
    plots.mkdir(parents=True)
    source = plots / "layer001_x_outputs.png"
    (stored / "new" / "diagnosis.json").rename(source)
    before = source.read_bytes()
    assert run(["report", str(source), "-o", "out", "--format", "svg"]) == 2
    assert "written over a file that is read" in capsys.readouterr().err
    assert source.read_bytes() == before


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    archive = np.load(demo_data_path())
    name = next(key for key in archive.files if archive[key].ndim >= 3)
    images = archive[name][:6]
    folder = tmp_path / "photos"
    folder.mkdir()
    for i, pixels in enumerate(images):
        Image.fromarray(pixels.squeeze().astype("uint8")).save(folder / f"{i}.png")
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"{i}.png,{i % 3}\n" for i in range(6)))
    (tmp_path / "net.safetensors").write_bytes(demo_model_path().read_bytes())
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "words",
    [
        ["--json", "photos/0.png"],
        ["--csv", "photos/labels.csv"],
        ["--csv", "net.safetensors"],
        ["--plot", "photos/5.png"],
    ],
)
def test_the_images_the_labels_and_the_model_survive(words: list[str], photos: Path, capsys: Capture) -> None:
    refused(f"sqnr net.safetensors --arch {DEMO_ARCH} --data photos " + " ".join(words), photos, capsys)


def test_a_repaired_model_does_not_replace_the_data(photos: Path, capsys: Capture) -> None:
    for target in ("photos/0.png", "photos/labels.csv"):
        refused(f"fix-bn net.safetensors --arch {DEMO_ARCH} --data photos -o {target} --force", photos, capsys)


def test_a_module_that_a_model_imports_survives_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Capture
) -> None:
    (tmp_path / "net.py").write_text("from parts_of_net import make\n")
    (tmp_path / "parts_of_net.py").write_text(
        "import torch\n\n\ndef make():\n    return torch.nn.Sequential(torch.nn.Linear(4, 3))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.dont_write_bytecode", True)
    refused("sqnr ./net.py:make --input-shape 2,4 --json parts_of_net.py", tmp_path, capsys)


def test_in_place_is_allowed_to_replace_the_model_and_nothing_else(photos: Path, capsys: Capture) -> None:
    line = ["fix-bn", "net.safetensors", "--arch", DEMO_ARCH, "--no-proof", "--in-place"]
    before = (photos / "net.safetensors").read_bytes()
    assert run([*line, "--json", "fix.json", "-q"]) == 0
    assert (photos / "net.safetensors").read_bytes() != before
    assert json.loads((photos / "fix.json").read_text())["written_to"] == "net.safetensors"
    capsys.readouterr()
    refused(" ".join([*line, "--json", "net.safetensors"]), photos, capsys)
