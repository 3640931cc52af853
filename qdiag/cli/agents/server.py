"""The server of `qdiag mcp`: commands as tools, results and the schema of a diagnosis as resources."""

import json
import tempfile
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, TypeAlias

import anyio
from mcp import types
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server

from qdiag.cli.agents.calls import CommandOutcome, Tell, run_command
from qdiag.cli.agents.skill import skill_page
from qdiag.cli.agents.statements import StatementRow, statements_in
from qdiag.cli.agents.tools import CommandTool, command_tools
from qdiag.core.nearest import nearest_hint
from qdiag.errors import ConfigError, LoadError, QdiagError

SCHEMA_URI = "qdiag://schema/diagnosis"
SKILL_URI = "qdiag://skill"
_RESULTS = "qdiag://results/"
_JSON = "application/json"
_Context: TypeAlias = ServerRequestContext[Any]

OUTPUT_SCHEMA: dict[str, Any] = {
    "type": "object",
    "properties": {
        "exit_code": {"type": "integer", "description": "0 done, 1 the gate failed, 2 cannot judge, 130 interrupted"},
        "meaning": {"type": "string"},
        "output": {"type": "string", "description": "what the command printed"},
        "remarks": {"type": "string", "description": "errors, hints and progress"},
        "result": {"type": ["string", "null"], "description": "the resource that holds the whole result as JSON"},
        "statements": {
            "type": "array",
            "description": "what the result says, each sentence with the places in the result that prove it",
            "items": {
                "type": "object",
                "properties": {
                    "id": {"type": "string"},
                    "text": {"type": "string"},
                    "proofs": {"type": "array", "items": {"type": "string", "format": "json-pointer"}},
                },
                "required": ["id", "text", "proofs"],
            },
        },
    },
    "required": ["exit_code", "meaning", "output", "remarks", "result", "statements"],
}

INSTRUCTIONS = (
    "qdiag finds out why a neural network loses accuracy when it is quantized, and proves causes by repairing them. "
    f"Read {SKILL_URI} before the first call: it has the order of work, and what each verdict lets you say."
)


class CommandServer:
    """Tools and resources of one session.

    Args:
        tools: the commands that may be run.
        folder: where results are kept that no argument names a file for.
    """

    def __init__(self, tools: Sequence[CommandTool], folder: Path) -> None:
        self._tools = {tool.name: tool for tool in tools}
        self._folder = folder
        self._results: dict[str, Path] = {}

    def server(self) -> Server[Any]:
        """The server, ready to be run over streams."""
        return Server(
            "qdiag",
            version=version("qdiag"),
            instructions=INSTRUCTIONS,
            on_list_tools=self._list_tools,
            on_call_tool=self._call_tool,
            on_list_resources=self._list_resources,
            on_read_resource=self._read_resource,
        )

    async def _list_tools(
        self, context: _Context, request: types.PaginatedRequestParams | None
    ) -> types.ListToolsResult:
        del context, request
        tools = [
            types.Tool(
                name=tool.name,
                description=tool.description,
                input_schema=tool.input_schema,
                output_schema=OUTPUT_SCHEMA,
            )
            for tool in self._tools.values()
        ]
        return types.ListToolsResult(tools=tools)

    async def _call_tool(self, context: _Context, request: types.CallToolRequestParams) -> types.CallToolResult:
        try:
            return await self._run(context, request.name, request.arguments or {})
        except QdiagError as error:
            return _told(CommandOutcome(2, "", str(error)), None, ())

    async def _run(self, context: _Context, name: str, arguments: Mapping[str, Any]) -> types.CallToolResult:
        if name not in self._tools:
            raise ConfigError(f"there is no tool {name!r}", hint=nearest_hint(name, list(self._tools)))
        tool = self._tools[name]
        given = {key: value for key, value in arguments.items() if value is not None}
        kept = None
        if tool.takes("json") and "json" not in given:
            kept = self._folder / f"{tool.name}-{len(self._results) + 1}.json"
            given["json"] = str(kept)
        before = _written_at(given.get("json"))
        outcome = await run_command(tool.words(given), _teller(context))
        uri = None
        if kept is not None and kept.is_file():
            uri = f"{_RESULTS}{kept.stem}"
            self._results[uri] = kept
        is_written = _written_at(given.get("json")) != before
        stored = Path(given["json"]).read_text(encoding="utf-8") if is_written else ""
        return _told(outcome, uri, statements_in(stored, tool.name) if is_written else ())

    async def _list_resources(
        self, context: _Context, request: types.PaginatedRequestParams | None
    ) -> types.ListResourcesResult:
        del context, request
        found = [
            types.Resource(name="schema", uri=SCHEMA_URI, mime_type=_JSON, description="JSON Schema of a diagnosis"),
            types.Resource(
                name="skill", uri=SKILL_URI, mime_type="text/markdown", description="how to work with verdicts"
            ),
        ]
        found += [types.Resource(name=path.stem, uri=uri, mime_type=_JSON) for uri, path in self._results.items()]
        return types.ListResourcesResult(resources=found)

    async def _read_resource(
        self, context: _Context, request: types.ReadResourceRequestParams
    ) -> types.ReadResourceResult:
        del context
        kind, text = await self.read(request.uri)
        return types.ReadResourceResult(
            contents=[types.TextResourceContents(uri=request.uri, mime_type=kind, text=text)]
        )

    async def read(self, uri: str) -> tuple[str, str]:
        """Type and text of a resource.

        Raises:
            LoadError: there is none of this name.
        """
        if uri == SKILL_URI:
            return "text/markdown", skill_page()
        if uri == SCHEMA_URI:
            return _JSON, schema_text()
        if uri in self._results:
            return _JSON, self._results[uri].read_text(encoding="utf-8")
        known = [SCHEMA_URI, SKILL_URI, *self._results]
        raise LoadError("there is no such resource", at=uri, hint=nearest_hint(uri, known))


def schema_text() -> str:
    """JSON Schema of a diagnosis."""
    from qdiag.writers.json.diagnosis_schema import json_schema

    return json.dumps(json_schema(), indent=1)


async def serve(*, may_trust: bool) -> None:
    """Serves one client over standard input and output, until it closes them.

    Args:
        may_trust: whether the client may let a model run code of its own.
    """
    with tempfile.TemporaryDirectory(prefix="qdiag-mcp-") as folder:
        server = CommandServer(command_tools(may_trust=may_trust), Path(folder)).server()
        # The streams of the program are guarded for words; the protocol has the descriptors, which no child gets.
        with open(0, encoding="utf-8", closefd=False) as asked, open(1, "w", encoding="utf-8", closefd=False) as told:
            async with stdio_server(anyio.wrap_file(asked), anyio.wrap_file(told)) as (incoming, outgoing):
                await server.run(incoming, outgoing, server.create_initialization_options())


def _written_at(file: str | None) -> int | None:
    """When a file was last written, in nanoseconds; None where there is none, as of standard output."""
    return Path(file).stat().st_mtime_ns if file is not None and Path(file).is_file() else None


def _teller(context: _Context) -> Tell:
    """Passes lines of progress on to a client that asked for them."""
    count = 0

    async def tell(line: str) -> None:
        nonlocal count
        count += 1
        await context.session.report_progress(count, message=line)

    return tell


def _told(outcome: CommandOutcome, uri: str | None, statements: Sequence[StatementRow]) -> types.CallToolResult:
    words = [f"exit code {outcome.exit_code}: {outcome.meaning}", outcome.output.strip(), outcome.remarks.strip()]
    return types.CallToolResult(
        content=[types.TextContent(type="text", text="\n\n".join(part for part in words if part))],
        structured_content={
            "exit_code": outcome.exit_code,
            "meaning": outcome.meaning,
            "output": outcome.output,
            "remarks": outcome.remarks,
            "result": uri,
            "statements": list(statements),
        },
        is_error=outcome.exit_code not in (0, 1),
    )
