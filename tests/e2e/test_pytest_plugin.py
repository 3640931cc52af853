"""`assert_quantizes` in a test session of its own, and what it costs pytest to have it."""

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import torch
from torch import nn

from qdiag.core.gate import GateResult
from qdiag.pytest_plugin import assert_quantizes
from qdiag.simulate.task.user import MetricRequest

ROOT = Path(__file__).resolve().parents[2]


class Line(nn.Module):
    """Two classes by the sign of one input; `ruined` makes one huge weight, so that the others round to zero."""

    def __init__(self, *, ruined: bool) -> None:
        super().__init__()
        self.body = nn.Linear(2, 2)
        weight = torch.tensor([[1.0, 0.0], [-1.0, 0.0]])
        if ruined:
            weight[:, 1] = 4000.0
        self.body.weight.data, self.body.bias.data = weight, torch.zeros(2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.body(x)


def labelled(count: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, 2, generator=generator) * 2 - 1
    x[:, 1] = 0.0
    x = x[x[:, 0].abs() > 0.1]
    return x, (x[:, 0] < 0).long()


def test_a_network_that_survives_gives_its_checks() -> None:
    result = assert_quantizes(Line(ruined=False), labelled(600), max_drop=1.0)
    assert result.status == "pass"
    assert [check.rule for check in result.checks] == ["max_drop"]


def test_a_network_that_does_not_fails_with_its_weakest_layers() -> None:
    with pytest.raises(pytest.fail.Exception, match=r"weakest layers, local SQNR: body -?[0-9.]+ dB") as caught:
        assert_quantizes(Line(ruined=True), labelled(600), scheme="tf-uint8")
    message = str(caught.value)
    assert "The gate failed: 1 of 1 check did not hold." in message
    assert "drop of top-1" in message
    assert "limit ≤ 1.0 pp" in message


def test_too_few_samples_are_a_skip_and_with_strict_a_failure() -> None:
    with pytest.raises(pytest.skip.Exception, match="more samples would decide it"):
        assert_quantizes(Line(ruined=False), labelled(20), allow_few_samples=True)
    with pytest.raises(pytest.fail.Exception, match="cannot even exclude 2 pp"):
        assert_quantizes(Line(ruined=False), labelled(20))
    with pytest.raises(pytest.fail.Exception, match="strict"):
        assert_quantizes(Line(ruined=False), labelled(20), strict=True, allow_few_samples=True)


def test_what_cannot_be_judged_fails() -> None:
    inputs, _ = labelled(100)
    with pytest.raises(pytest.fail.Exception, match="no labels"):
        assert_quantizes(Line(ruined=False), inputs)
    with pytest.raises(pytest.fail.Exception, match="no output gives answers that could be compared"):
        assert_quantizes(Line(ruined=False), inputs, max_drop=None, min_sqnr=20.0, max_flips=10.0)
    assert assert_quantizes(Line(ruined=False), inputs, max_drop=None, min_sqnr=20.0, max_flips=10.0, task="classify")
    with pytest.raises(pytest.fail.Exception, match="no threshold"):
        assert_quantizes(Line(ruined=False), inputs, max_drop=None)
    with pytest.raises(pytest.fail.Exception, match="no scheme is called nope"):
        assert_quantizes(Line(ruined=False), inputs, scheme="nope")


def test_a_limit_in_percent_is_no_fraction() -> None:
    net, data = Line(ruined=False), labelled(200)
    with pytest.raises(pytest.fail.Exception, match=r"top-1 is in percent, and 0\.7 may mean 0\.7% or 70%"):
        assert_quantizes(net, data, max_drop=None, min_metric=0.7)
    with pytest.raises(pytest.fail.Exception, match=r"percent are needed[^$]*write 70 for 70 %"):
        assert_quantizes(net, data, max_drop=None, min_accuracy=0.7)
    result = assert_quantizes(net, data, max_drop="5pp", min_metric="70%", min_accuracy="0.7%")
    assert {check.status for check in result.checks} == {"pass"}


def test_layers_and_their_allowances() -> None:
    ruined, data = Line(ruined=True), labelled(100)
    limits = {"max_drop": None, "min_layer_sqnr": 15.0, "scheme": "tf-uint8"}
    with pytest.raises(pytest.fail.Exception, match="local SQNR of body"):
        assert_quantizes(ruined, data, **limits)
    with pytest.warns(UserWarning, match=r"harmed: the loss of top-1 is .*; no limit looks at it"):
        assert assert_quantizes(ruined, data, allow={"bod*": -200.0}, **limits).status == "pass"


def distance(outputs: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Of each sample: how far the answer is from the float network's, which the targets are."""
    return (outputs - targets).abs().mean(1)


def test_a_metric_of_the_users_own_is_limited_whatever_its_direction() -> None:
    inputs, _ = labelled(200)
    own = MetricRequest(distance, higher_is_better=False, limit=0.05)
    for ruined, status in ((False, "pass"), (True, "fail")):
        net = Line(ruined=ruined)
        data, limits = (inputs, net(inputs).detach()), {"max_drop": None, "metric": own, "scheme": "tf-uint8"}
        if status == "pass":
            result = assert_quantizes(net, data, max_metric_drop=0.05, max_metric=0.05, **limits)
            assert [check.status for check in result.checks] == ["pass", "pass"]
            with pytest.raises(pytest.fail.Exception, match="`max_metric` limits it"):
                assert_quantizes(net, data, min_metric=0.05, **limits)
            continue
        with pytest.raises(pytest.fail.Exception, match=r"distance, loss: .*limit ≤ 0\.05"):
            assert_quantizes(net, data, max_metric_drop=0.05, **limits)


def test_numbers_are_judged_by_their_error() -> None:
    inputs, _ = labelled(200)
    net = Line(ruined=False)
    data = inputs, net(inputs).detach()
    result = assert_quantizes(net, data, max_drop=None, task="regress", max_metric_drop=0.05)
    assert result.checks[0].criterion is not None
    assert result.checks[0].criterion.name == "nMAE"
    with pytest.raises(pytest.fail.Exception, match="`max_metric_drop` limits nMAE"):
        assert_quantizes(net, data, task="regress")


def pytest_run(folder: Path, code: str, *options: str) -> str:
    (folder / "test_it.py").write_text(code, encoding="utf-8")
    known = any(point.name == "qdiag" for point in entry_points(group="pytest11"))
    plugin = [] if known else ["-p", "qdiag.pytest_plugin"]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *plugin, *options, "test_it.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr


def test_the_fixture_is_there_without_an_import_and_torch_is_not(tmp_path: Path) -> None:
    code = (
        "import sys\n"
        "heavy = {'torch', 'numpy', 'pandas', 'pydantic'} & set(sys.modules)\n"
        "def test_start(assert_quantizes):\n"
        "    assert not heavy\n"
        "    assert callable(assert_quantizes)\n"
    )
    assert "1 passed" in pytest_run(tmp_path, code, "-W", "error")


def test_a_failing_test_shows_the_message_and_no_traceback(tmp_path: Path) -> None:
    code = (
        "import torch\n"
        "def test_net(assert_quantizes):\n"
        "    net = torch.nn.Linear(4, 3)\n"
        "    x = torch.randn(200, 4)\n"
        "    assert_quantizes(net, (x, net(x).argmax(1)), scheme='int8', min_layer_sqnr=300.0)\n"
    )
    text = pytest_run(tmp_path, code)
    assert "1 failed" in text
    assert "weakest layers" in text
    assert "Traceback" not in text


def test_the_fixture_is_the_function(request: pytest.FixtureRequest) -> None:
    known = any(point.name == "qdiag" for point in entry_points(group="pytest11"))
    if not known:
        pytest.skip("qdiag is not installed, so pytest does not know its plugin")
    fixture: Callable[..., GateResult] = request.getfixturevalue("assert_quantizes")
    assert fixture is assert_quantizes


def test_a_limit_that_was_given_takes_the_place_of_that_on_accuracy() -> None:
    unlabelled, _ = labelled(60)
    assert [check.rule for check in assert_quantizes(Line(ruined=False), unlabelled, min_sqnr=30).checks] == [
        "min_sqnr"
    ]
    assert [check.rule for check in assert_quantizes(Line(ruined=False), labelled(600)).checks] == ["max_drop"]
