"""`qdiag zoo` lists every network with its arguments; what it names can be typed."""

import re

import pytest

from qdiag.cli.app import run
from qdiag.zoo import ZOO, build
from qdiag.zoo.describe import describe_zoo


def test_every_network_is_described_by_what_its_factory_takes() -> None:
    found = {network.name: network for network in describe_zoo()}
    assert list(found) == list(ZOO)
    assert found["resnet18"].parameter_count == 11_689_512  # of the paper's table, as torchvision counts it too
    assert found["mobilenet_v2"].parameter_count == 3_504_872
    assert all(network.title and not network.title.endswith(".") for network in found.values())
    width, *_ = found["mobilenet_v1"].arguments
    assert (width.name, width.default, width.values) == ("width", "1.0", "a number")


def test_defaults_can_be_typed() -> None:
    for network in describe_zoo():
        if network.name.endswith("_small"):
            typed = {one.name: one.default for one in network.arguments if one.default != "auto"}
            built = build(network.name, typed)
            assert sum(parameter.numel() for parameter in built.parameters()) == network.parameter_count


def test_the_list_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["zoo"]) == 0
    printed = capsys.readouterr().out
    assert re.findall(r"^(\w+)  ", printed, re.MULTILINE) == list(ZOO)
    assert re.search(r"^  form=training +training or deployed *$", printed, re.MULTILINE)
    assert "resnet18  ResNet-18 (11.69 million parameters)" in printed
