"""The server as a client sees it: tools, a command that runs, one that fails, resources."""

import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import anyio
import pytest

from qdiag.cli.agents import server as served
from qdiag.cli.agents.calls import SHOWN_CHARACTERS, CommandOutcome, bounded, run_command
from qdiag.cli.agents.server import SCHEMA_URI, SKILL_URI, CommandServer
from qdiag.cli.agents.tools import command_tools
from qdiag.errors import LoadError
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import diagnosis

client = pytest.importorskip("mcp.client")


def asked(folder: Path, ask: Callable[[Any], Awaitable[Any]]) -> Any:
    async def talk() -> Any:
        async with client.Client(CommandServer(command_tools(), folder).server()) as session:
            return await ask(session)

    return anyio.run(talk)


@pytest.fixture
def stored(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Commands end at once, and write a diagnosis where they are told to; returns what was run."""
    ran: list[list[str]] = []

    async def run(words: list[str], tell: Callable[[str], Awaitable[None]]) -> CommandOutcome:
        ran.append(words)
        await tell("measuring 3 of 10")
        (path,) = [word.removeprefix("--json=") for word in words if word.startswith("--json=")]
        Path(path).write_text(diagnosis_to_json(diagnosis()), encoding="utf-8")
        return CommandOutcome(0, "the table\n", "")

    monkeypatch.setattr(served, "run_command", run)
    return ran


def test_tools_and_resources_are_listed(tmp_path: Path) -> None:
    async def ask(session: Any) -> Any:
        return await session.list_tools(), await session.list_resources()

    tools, resources = asked(tmp_path, ask)
    assert {"diagnose", "fix_bn", "gate", "verify"} <= {tool.name for tool in tools.tools}
    assert [resource.uri for resource in resources.resources] == [SCHEMA_URI, SKILL_URI]


def test_a_result_is_a_resource_and_its_sentences_lead_into_it(tmp_path: Path, stored: list[list[str]]) -> None:
    told: list[str | None] = []

    async def on_progress(progress: float, total: float | None, message: str | None) -> None:
        del progress, total
        told.append(message)

    async def ask(session: Any) -> Any:
        done = await session.call_tool("diagnose", {"model": "net.pt2"}, progress_callback=on_progress)
        return done, await session.read_resource(done.structured_content["result"])

    done, resource = asked(tmp_path, ask)
    assert stored[0][0] == "diagnose" and stored[0][-2:] == ["--", "net.pt2"]
    assert told == ["measuring 3 of 10"]
    assert not done.is_error
    assert "the table" in done.content[0].text
    whole = json.loads(resource.contents[0].text)
    statements = done.structured_content["statements"]
    assert len(statements) > 3
    for statement in statements:
        for pointer in statement["proofs"]:
            assert resolved(whole, pointer) is not None, pointer


def resolved(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def test_schema_and_skill_can_be_read(tmp_path: Path) -> None:
    async def ask(session: Any) -> Any:
        return [(await session.read_resource(uri)).contents[0].text for uri in (SCHEMA_URI, SKILL_URI)]

    schema, skill = asked(tmp_path, ask)
    assert json.loads(schema)["title"].startswith("qdiag diagnosis")
    assert skill.startswith("---\nname: qdiag\n")


def test_wrong_arguments_are_an_answer(tmp_path: Path) -> None:
    async def ask(session: Any) -> Any:
        return await session.call_tool("sqnr", {"model": "net.pt2", "dat": "x"})

    done = asked(tmp_path, ask)
    assert done.is_error
    assert done.structured_content["exit_code"] == 2
    assert "no argument 'dat'" in done.content[0].text


def test_an_unknown_resource_is_named(tmp_path: Path) -> None:
    with pytest.raises(LoadError, match="no such resource"):
        anyio.run(CommandServer((), tmp_path).read, "qdiag://skil")


def test_a_command_runs_in_a_process_of_its_own() -> None:
    lines: list[str] = []

    async def tell(line: str) -> None:
        lines.append(line)

    done = anyio.run(run_command, ["explain", "QD301"], tell)
    assert (done.exit_code, done.meaning) == (0, "done")
    assert "dead_batchnorm_channels" in done.output
    failed = anyio.run(run_command, ["explain", "QD999"], tell)
    assert failed.exit_code == 2
    assert "QD999" in failed.remarks
    assert lines


def test_long_output_loses_its_middle() -> None:
    text = "a" * SHOWN_CHARACTERS + "bc"
    assert bounded(text).endswith("abc") and "[2 characters are left out here]" in bounded(text)
    assert bounded("abc") == "abc"
