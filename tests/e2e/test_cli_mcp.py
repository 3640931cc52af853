"""`qdiag mcp` as a client starts it: a program that talks over standard input and output."""

import json
import sys
from pathlib import Path
from typing import Any

import anyio
import numpy as np
import pytest

from qdiag.cli.app import run
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import diagnosis, repaired_diagnosis
from tests.networks.onnx_files import small_cnn

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


def resolved(document: Any, pointer: str) -> Any:
    for part in pointer.split("/")[1:]:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def test_a_client_is_told_what_proves_each_sentence(tmp_path: Path) -> None:
    """Of a check, a verification, a comparison and a gate, each run by the server as the program runs it."""
    before, after = tmp_path / "before.json", tmp_path / "after.json"
    before.write_text(diagnosis_to_json(diagnosis()), encoding="utf-8")
    after.write_text(diagnosis_to_json(repaired_diagnosis()), encoding="utf-8")
    kept = tmp_path / "gate.json"
    (tmp_path / "net.onnx").write_bytes(small_cnn())
    inputs = np.random.default_rng(0).normal(size=(24, 3, 8, 8)).astype(np.float32)
    np.savez(tmp_path / "data.npz", inputs=inputs, labels=np.arange(24) % 5)
    model, data = str(tmp_path / "net.onnx"), str(tmp_path / "data.npz")
    asked: dict[str, dict[str, Any]] = {
        "check": {"model": model, "device": "cpu"},
        "verify": {"model": model, "data": data, "device": "cpu"},
        "compare": {"before": str(before), "after": str(after)},
        "gate": {"result": str(before), "max_drop": 1.0, "json": str(kept)},
    }

    async def talk() -> dict[str, tuple[Any, str]]:
        start = stdio.StdioServerParameters(command=sys.executable, args=["-m", "qdiag", "mcp"])
        found = {}
        async with client.Client(stdio.stdio_client(start)) as session:
            for tool, arguments in asked.items():
                done = (await session.call_tool(tool, arguments)).structured_content
                if done["result"] is None:
                    found[tool] = done, kept.read_text(encoding="utf-8")
                else:
                    found[tool] = done, (await session.read_resource(done["result"])).contents[0].text
        return found

    for tool, (done, stored) in anyio.run(talk).items():
        assert done["exit_code"] == (1 if tool == "gate" else 0), (tool, done["remarks"])
        told = {one["id"]: one for one in done["statements"]}
        assert "verdict" in told and len(told) > 4, tool
        document = json.loads(stored)
        for one in told.values():
            assert one["proofs"], (tool, one)
            for pointer in one["proofs"]:
                resolved(document, pointer)


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
