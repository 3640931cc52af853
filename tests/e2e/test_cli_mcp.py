"""`qdiag mcp` as a client starts it: a program that talks over standard input and output."""

import sys
from typing import Any

import anyio
import pytest

from qdiag.cli.app import run

stdio = pytest.importorskip("mcp.client.stdio")
client = pytest.importorskip("mcp.client")


def test_a_client_starts_it_and_runs_a_command() -> None:
    async def talk() -> Any:
        start = stdio.StdioServerParameters(command=sys.executable, args=["-m", "qdiag", "mcp"])
        async with client.Client(stdio.stdio_client(start)) as session:
            return await session.list_tools(), await session.call_tool("explain", {"code": "QD999"})

    tools, done = anyio.run(talk)
    assert len(tools.tools) > 15
    assert done.structured_content["exit_code"] == 2
    assert "QD999" in done.structured_content["remarks"]


def test_the_page_for_agents_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["mcp", "--skill"]) == 0
    assert capsys.readouterr().out.startswith("---\nname: qdiag\n")


def test_without_the_package_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in sys.modules if name.startswith("qdiag.cli.agents")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    assert run(["mcp"]) == 2
    assert "pip install 'qdiag[mcp]'" in capsys.readouterr().err
