"""What commands print of stored results at the widths of terminals: nothing is wider, and every dash is explained."""

import io
import re
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console
from rich.text import Text

from qdiag.cli.console import PrintableConsole, print_commands, print_error, print_flowing
from qdiag.cli.tables.bn import print_audit
from qdiag.cli.tables.branches import print_branches
from qdiag.cli.tables.compare import print_comparison
from qdiag.cli.tables.deployment.export import print_export
from qdiag.cli.tables.deployment.settings import print_settings
from qdiag.cli.tables.deployment.verify import print_verification
from qdiag.cli.tables.fix_bn import print_fix
from qdiag.cli.tables.fold import print_fold
from qdiag.cli.tables.gate import print_gate
from qdiag.cli.tables.operations.check import print_check
from qdiag.cli.tables.ranges import print_ranges
from qdiag.cli.tables.ranking import print_ranking
from qdiag.cli.tables.repair import print_repair
from qdiag.cli.tables.sensitivity import print_sensitivity
from qdiag.cli.tables.sqnr import print_measurement
from qdiag.cli.tables.training.qat import print_training
from qdiag.compare.diagnoses import compare_diagnoses
from qdiag.core.causes.repair import RepairStep
from qdiag.core.measures.deployed.export import ExportReport
from qdiag.core.measures.deployed.settings import SettingsReport
from qdiag.core.measures.float_ops import FloatShare
from qdiag.core.measures.operations.model_check import ModelCheck, OperationCount, TensorForm
from qdiag.core.measures.task import TaskChoice
from qdiag.errors import DataError
from qdiag.gate.judge import judge
from tests.branch_reports import branch_report
from tests.deployed_diagnosis import deployed_diagnosis
from tests.diagnoses import awkward_diagnosis, batchnorms, diagnosis, healthy_diagnosis, repaired_diagnosis
from tests.fold_reports import fold_report
from tests.gates import EVERYTHING, evidence
from tests.measurements import awkward_measurement, measurement, range_report
from tests.other_tasks import judged_by_error
from tests.trainings import training
from tests.unit.cli.test_fix_bn_table import channel, result

COMMAND = (
    "qdiag diagnose networks/mobilenet.safetensors --arch zoo:mobilenet_v1?width=0.75 --data photos/ --preset tf "
    "--scheme tf-uint8 --calib-samples 100 --output reports/mobilenet"
)


def show_comparison(console: Console) -> None:
    print_comparison(
        console, compare_diagnoses(diagnosis(), repaired_diagnosis(), source_before="a", source_after="b"), None
    )


def show_sweep(console: Console) -> None:
    sweep = diagnosis().sensitivity
    assert sweep is not None
    print_sensitivity(console, sweep, None)


def show_verification(console: Console) -> None:
    run = deployed_diagnosis().verification
    assert run is not None
    print_verification(console, run, "worst", None)


def show_repair(console: Console) -> None:
    steps = (RepairStep("equalize", ("blocks.0.dw",), ("blocks.0.dw.weight",)), RepairStep("correct_bias", refused="x"))
    print_repair(console, replace(result(), steps=steps))


def show_check(console: Console) -> None:
    seen = measurement()
    operations = (
        OperationCount("conv2d", "layer", 27, 27, ("relu6", "batch_norm"), 0.98, 0.75),
        OperationCount("scaled_dot_product_attention", "layer", 2, 0, ("softmax",), 0.02, 0.25),
    )
    forms = (TensorForm("x", (1, 3, 224, 224), "float32"),)
    found = ModelCheck(
        *(seen.model, seen.scheme, seen.capture, forms, "run on Gaussian noise", forms, operations, ()),
        float_share=FloatShare(),
        choice=TaskChoice(),
        criterion=None,
        mac_count=1_000_000,
    )
    print_check(console, found, [COMMAND])


def show_export(console: Console) -> None:
    seen = measurement()
    parts = (seen.model, seen.data, seen.scheme, seen.capture)
    print_export(console, ExportReport(*parts, "QDQ ONNX", "captured", 30, 28, 1_234_567, unrun="it is not installed"))
    print_settings(console, SettingsReport(*parts, "TensorRT", ("blocks.0.dw",), 30, has_file_names=False))


def test_layers_that_stay_in_float_for_one_reason_are_one_line_of_an_export() -> None:
    seen, why = measurement(), "kept in float by the scheme"
    layers = (*((f"conv{number}", why) for number in range(31)), ("head", "no kernel"))
    report = ExportReport(seen.model, seen.data, seen.scheme, seen.capture, "QDQ ONNX", "captured", 30, 28, 99)
    console = Console(file=io.StringIO(), width=120)
    print_export(console, replace(report, float_layers=layers, unrun="x"))
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert shown.count("in float") == 3  # `kept in float` is the third
    assert f"31 layers, conv0, conv1, conv2 and 28 more: {why}" in shown and "head: no kernel" in shown


SHOWN: dict[str, Callable[[Console], None]] = {
    "sqnr": lambda console: print_measurement(console, measurement(), "worst", "local", None, COMMAND),
    "sqnr of odd figures": lambda console: print_measurement(console, awkward_measurement(), "graph", "local", None),
    "ranges": lambda console: print_ranges(console, range_report()),
    "bn": lambda console: print_audit(console, batchnorms(), "worst", None),
    "fold": lambda console: print_fold(console, fold_report(), "worst", None),
    "branches": lambda console: print_branches(console, branch_report(), "worst", None),
    "sensitivity": show_sweep,
    "diagnose": lambda console: print_ranking(console, diagnosis(), has_report=True),
    "diagnose a healthy network": lambda console: print_ranking(console, healthy_diagnosis()),
    "diagnose odd figures": lambda console: print_ranking(console, awkward_diagnosis()),
    "diagnose depths": lambda console: print_ranking(console, judged_by_error(diagnosis())),
    "diagnose a quantized file": lambda console: print_ranking(console, deployed_diagnosis()),
    "fix-bn": lambda console: print_fix(console, result(channel(3), channel(9), channel(12, "it was refused"))),
    "repair": show_repair,
    "qat": lambda console: print_training(console, training()),
    "check": show_check,
    "export": show_export,
    "verify": show_verification,
    "compare": show_comparison,
    "gate": lambda console: print_gate(console, judge(evidence(diagnosis()), EVERYTHING)),
    "commands": lambda console: print_commands(console, "To go on:", [COMMAND]),
    "remark": lambda console: print_flowing(console, Text("Nothing of this was measured. " * 9), ("hint:  ", "bold")),
}
STYLE = re.compile(r"\x1b\[[\d;]*m")


def printed(command: str, width: int, *, is_terminal: bool = False, no_color: bool = False) -> str:
    file = io.StringIO()
    SHOWN[command](
        PrintableConsole(
            file=file, width=width, highlight=False, force_terminal=is_terminal, no_color=no_color, legacy_windows=False
        )
    )
    return file.getvalue()


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("command", SHOWN)
def test_every_line_fits_a_terminal(command: str, width: int) -> None:
    lines = STYLE.sub("", printed(command, width, is_terminal=True)).splitlines()
    assert [line for line in lines if len(line.rstrip()) > width] == []
    assert [line for line in lines if "…" in line and width == 200] == [], "there is room for every name"


@pytest.mark.parametrize("command", SHOWN)
def test_no_line_ends_between_a_number_and_its_unit(command: str) -> None:
    for width in (74, 80, 93, 101, 120):
        shown = STYLE.sub("", printed(command, width, is_terminal=True))
        assert not re.search(r"\d *\n *(?:%|pp|dB|s|kB|MB|bytes|bits|[kM])(?![\w%])", shown), width


@pytest.mark.parametrize("width", [80, 120, 200])
@pytest.mark.parametrize("command", SHOWN)
def test_a_dash_in_a_table_is_explained_above_it(command: str, width: int) -> None:
    above, is_table = "", False
    for line in printed(command, width).splitlines():
        is_table = bool(line.strip()) and (is_table or "───" in line)
        if not is_table:
            above += f"{line} "
        elif re.search(r"(?:^| {2,})-(?: {2,}|$)", line):
            assert "A dash under " in above, line
    assert all(said.endswith(".") for said in re.findall(r"A dash under [^.]*.", above))


@pytest.mark.parametrize("command", SHOWN)
def test_colours_change_no_word(command: str) -> None:
    """A terminal that is told to have none (NO_COLOR) and one that can have none (a dumb one, a file) say the same."""
    plain = printed(command, 120, is_terminal=True, no_color=True)
    assert STYLE.sub("", printed(command, 120, is_terminal=True)) == STYLE.sub("", plain)
    assert not re.search(r"\x1b\[(?:\d+;)*(?:3|4|9|10)\d", plain)
    flowing, in_file = (
        " ".join(t.replace(" \\\n", " ").split()) for t in (STYLE.sub("", plain), printed(command, 120))
    )
    assert flowing == in_file


def test_every_command_with_a_table_is_shown() -> None:
    names = {name for name in globals() if name.startswith("print_")}
    from tests.unit.cli import test_foreign_terminal as walked

    assert {name for name in vars(walked) if name.startswith("print_")} - {"print_error"} <= names


@pytest.mark.parametrize("columns", [None, "60"])
def test_errors_in_a_pipe_are_one_line_each(
    columns: str | None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever COLUMNS says: `grep` and the log of a CI job show them whole."""
    monkeypatch.delenv("COLUMNS", raising=False)
    if columns:
        monkeypatch.setenv("COLUMNS", columns)
    words = "the images cannot be used as they are " * 6
    print_error(DataError(words.strip(), at="photos/", hint=words.strip()))
    shown = capsys.readouterr().err.splitlines()
    assert shown == [f"error: {words}".rstrip(), "  where: photos/", f"  hint:  {words}".rstrip()]
    console = PrintableConsole(file=io.StringIO(), width=60, highlight=False)
    console.has_asked_width = columns is not None
    print_flowing(console, Text(words.strip()))
    assert isinstance(console.file, io.StringIO)
    assert max(map(len, console.file.getvalue().splitlines())) == (59 if columns else len(words) - 1)
