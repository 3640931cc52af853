"""Commands as tools: the schema says what typer takes, and arguments make the command line that a user would type."""

from typing import Any

import pytest
import typer

from qdiag.cli.agents.tools import NOT_TOOLS, CommandTool, command_tools
from qdiag.cli.app import COMMANDS, app
from qdiag.errors import ConfigError

TOOLS = {tool.command: tool for tool in command_tools(may_trust=True)}
GROUP: Any = typer.main.get_command(app)


def test_every_command_is_a_tool_but_those_that_an_agent_has_no_use_for() -> None:
    assert list(TOOLS) == [name for name, _, _ in COMMANDS if name not in NOT_TOOLS]


@pytest.mark.parametrize("tool", TOOLS.values(), ids=lambda tool: tool.name)
def test_the_parameters_are_those_of_the_command(tool: CommandTool) -> None:
    taken = {max(parameter.opts, key=len): parameter for parameter in GROUP.commands[tool.command].params}
    described = {parameter.words[0] if parameter.words else parameter.name: parameter for parameter in tool.parameters}
    assert set(taken) - set(described) <= {"--debug", "--quiet", "--verbose"}
    for name, parameter in described.items():
        real = taken[name]
        assert parameter.is_required == real.required
        if parameter.words:
            assert set(parameter.words) <= {*real.opts, *real.secondary_opts}
        assert parameter.schema.get("description"), name
    assert tool.input_schema["additionalProperties"] is False


def test_arguments_become_a_command_line() -> None:
    words = TOOLS["sqnr"].words(
        {"model": "-net.pt2", "data": "photos", "set": ["weights.bits=4", "bias=float"], "losses": True, "top": 3}
    )
    assert words == [
        "sqnr", "--data=photos", "--set=weights.bits=4", "--set=bias=float", "--losses", "--top=3", "--", "-net.pt2"
    ]  # fmt: skip
    with GROUP.commands["sqnr"].make_context("sqnr", words[1:]) as context:
        assert context.params["model"] == "-net.pt2"
        assert list(context.params["set_"]) == ["weights.bits=4", "bias=float"]
        assert context.params["losses"] is True and context.params["top"] == 3


def test_a_switch_that_is_off_says_nothing_or_its_negative() -> None:
    assert TOOLS["sqnr"].words({"model": "n", "losses": False}) == ["sqnr", "--", "n"]
    assert "--no-bits" in TOOLS["diagnose"].words({"model": "n", "bits": False})


def test_wrong_arguments_are_named() -> None:
    with pytest.raises(ConfigError, match="no argument 'dat'") as error:
        TOOLS["sqnr"].words({"model": "n", "dat": "x"})
    assert error.value.hint == "did you mean data?"
    with pytest.raises(ConfigError, match="needs a value for model"):
        TOOLS["sqnr"].words({})


def test_trust_has_to_be_allowed() -> None:
    for tool in command_tools():
        assert not tool.takes("trust")
    assert TOOLS["sqnr"].takes("trust")
