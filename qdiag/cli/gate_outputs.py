"""Where a gate speaks: files that were asked for, and what GitHub Actions reads."""

import os
from collections.abc import Mapping
from dataclasses import dataclass

from qdiag.cli.streams import write_commands
from qdiag.core.gate import GateResult
from qdiag.files.atomic import STDOUT, write_file


@dataclass(frozen=True)
class GateFiles:
    """Files of `qdiag gate`; `-` is standard output."""

    json: str | None = None
    junit: str | None = None
    sarif: str | None = None
    markdown: str | None = None

    @property
    def all(self) -> tuple[str | None, ...]:
        return (self.json, self.junit, self.sarif, self.markdown)

    @property
    def takes_stdout(self) -> bool:
        return STDOUT in self.all


def write_gate(result: GateResult, files: GateFiles, environment: Mapping[str, str] | None = None) -> None:
    """Writes all that was asked for, the step's summary, and annotations.

    Each writer is imported only where it is needed.

    Raises:
        WriteError: a file cannot be written.
    """
    variables = os.environ if environment is None else environment
    if files.json is not None:
        from qdiag.writers.json.gate import gate_to_json

        write_file(files.json, gate_to_json(result))
    if files.junit is not None:
        from qdiag.writers.ci.junit import gate_junit

        write_file(files.junit, gate_junit(result))
    if files.sarif is not None:
        from qdiag.writers.ci.sarif import gate_sarif

        write_file(files.sarif, gate_sarif(result, _version()))
    if files.markdown is not None:
        from qdiag.writers.markdown.gate import gate_markdown

        write_file(files.markdown, gate_markdown(result))
    if variables.get("GITHUB_STEP_SUMMARY"):
        from qdiag.writers.markdown.gate import append_summary

        append_summary(variables["GITHUB_STEP_SUMMARY"], result)
    if variables.get("GITHUB_ACTIONS") == "true":
        from qdiag.writers.ci.github_actions import annotations

        write_commands(annotations(result), to_stderr=files.takes_stdout)  # the runner reads both


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version

    try:
        return version("qdiag")
    except PackageNotFoundError:
        return "0.0.0"
