"""The GitHub Action and the snippets of docs/ci.md: they are parsed, and their shell lines are run."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from qdiag.config.gate_file import read_gate_file
from qdiag.writers.json.diagnosis import diagnosis_to_json
from tests.diagnoses import diagnosis, healthy_diagnosis
from tests.forks.forking import Forks

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


SNIPPETS = [yaml.safe_load(text) for text in blocks("yaml")]
GITHUB, WITH_ACTION, GITLAB, PRE_COMMIT = SNIPPETS


@pytest.fixture(scope="module")
def texts() -> dict[str, str]:
    return {name: diagnosis_to_json(made) for name, made in (("bad", diagnosis()), ("good", healthy_diagnosis()))}


@pytest.fixture
def job(texts: dict[str, str], tmp_path: Path, forks: Forks) -> Path:
    """A folder as a job finds it: programs that stand in for what needs a network, and two results."""
    for name, text in texts.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "diagnosis.json").write_text(text, encoding="utf-8")
    programs = tmp_path / "bin"
    programs.mkdir()
    stubs = {
        # `diagnose` is another test's business: here it puts down the result that STUB names
        "qdiag": f'if [ "$1" = diagnose ]; then mkdir -p reports && cp -r "$STUB" reports/run1; exit 0; fi\n'
        f'exec {forks.program} "$@"',
        "python": f'if [ "$2" = pip ]; then shift 2; echo "$@" >> pip.log; exit 0; fi\nexec "{sys.executable}" "$@"',
        "pip": 'echo "$@" >> pip.log',
        "gh": 'echo "$@" >> gh.log',
    }
    for name, body in stubs.items():
        file = programs / name
        file.write_text(f"#!/bin/sh\n{body}\n", encoding="utf-8")
        file.chmod(0o755)
    return tmp_path


def shell(job: Path, script: str, stub: str = "good", **variables: str) -> subprocess.CompletedProcess[str]:
    """As GitHub's `shell: bash` runs it."""
    clean = {k: v for k, v in os.environ.items() if not k.startswith(("GITHUB_", "QDIAG_", "GATE_"))}
    environment = {**clean, "PATH": f"{job / 'bin'}:{clean['PATH']}", "PYTHONPATH": str(ROOT), "STUB": str(job / stub)}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script],
        cwd=job,
        env={**environment, **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def action_step(job: Path, name: str, inputs: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """One step of action.yml, its expressions filled in as the runner does."""
    (step,) = [step for step in ACTION["runs"]["steps"] if step["name"] == name]
    values = {key: str(definition.get("default", "")) for key, definition in ACTION["inputs"].items()} | inputs
    context = {f"inputs.{key}": value for key, value in values.items()} | {"github.action_path": str(ROOT)}
    filled = {
        key: re.sub(r"\$\{\{ ([\w.-]+) \}\}", lambda match: context[match[1]], str(text))
        for key, text in step["env"].items()
    }
    assert "${{" not in step["run"], "inputs reach the script as variables, never as code"
    return shell(job, step["run"], GITHUB_OUTPUT=str(job / "output"), **filled)


def test_the_action_is_a_composite_one_with_a_shell_for_every_step() -> None:
    assert ACTION["runs"]["using"] == "composite"
    assert all(step["shell"] == "bash" for step in ACTION["runs"]["steps"])
    assert all(definition["description"] for definition in ACTION["inputs"].values())
    used = set(re.findall(r"inputs\.([\w-]+)", (ROOT / "action.yml").read_text(encoding="utf-8")))
    assert used == set(ACTION["inputs"])


@pytest.mark.parametrize(("result", "code"), [("good", 0), ("bad", 1), ("absent.json", 2)])
def test_the_action_gives_the_exit_code_and_the_files(job: Path, result: str, code: int) -> None:
    inputs = {"result": result, "args": "--max-drop 1 --allow 'head of it=5'", "sarif": "g.sarif", "markdown": "c.md"}
    done = action_step(job, "Gate", inputs)
    assert done.returncode == code, done.stderr
    assert (job / "output").read_text(encoding="utf-8") == f"exit-code={code}\n"
    assert (job / "qdiag-gate.xml").is_file()
    assert json.loads((job / "g.sarif").read_text(encoding="utf-8"))["version"] == "2.1.0"
    assert (job / "c.md").is_file()


def test_the_action_runs_nothing_that_an_input_smuggles_in(job: Path) -> None:
    inputs = {"result": "good", "args": "--max-drop 1 '$(touch hacked)' ; touch hacked", "junit": ""}
    assert action_step(job, "Gate", inputs).returncode == 2
    assert not (job / "hacked").exists()


def test_the_action_does_not_judge_without_arguments_that_it_cannot_read(job: Path) -> None:
    (job / "qdiag.toml").write_text("[gate]\nmax_drop = 50\n", encoding="utf-8")
    done = action_step(job, "Gate", {"result": "good", "args": "--max-drop 1 --allow 'head"})
    assert done.returncode == 2
    assert done.stderr == "error: the input args cannot be read as words of a shell: No closing quotation\n"
    assert (job / "output").read_text(encoding="utf-8") == "exit-code=2\n"


def test_the_action_installs_no_torch_for_a_stored_result(job: Path) -> None:
    assert action_step(job, "Install qdiag", {"result": "good"}).returncode == 0
    light = (job / "pip.log").read_text(encoding="utf-8")
    assert "--no-deps" in light
    assert "torch" not in light
    (job / "pip.log").unlink()
    assert action_step(job, "Install qdiag", {"with-torch": "true", "install": "qdiag==0.1.0"}).returncode == 0
    assert (job / "pip.log").read_text(encoding="utf-8") == "install --quiet qdiag==0.1.0\n"
    (job / "pip.log").unlink()
    assert action_step(job, "Install qdiag", {"install": "no"}).returncode == 0
    assert not (job / "pip.log").exists()


def test_what_the_action_installs_is_what_the_project_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    declared = {re.split(r"[ <>=;]", line)[0]: line.replace(" ", "") for line in project["dependencies"]}
    script = ACTION["runs"]["steps"][0]["run"]
    installed = [line.replace(" ", "").replace('"', "'") for line in re.findall(r" '([^']+)'", script)]
    assert len(installed) == 4
    for line in installed:
        assert declared[re.split(r"[<>=;]", line)[0]] == line


def github_runs(workflow: dict[Any, Any]) -> list[str]:
    return [step["run"] for step in workflow["jobs"]["gate"]["steps"] if "run" in step]


def test_the_github_snippet_passes_and_fails_with_its_files(job: Path) -> None:
    *before, gate, comment = github_runs(GITHUB)
    for script in before:
        assert shell(job, script).returncode == 0
    actions = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(job / "summary.md")}
    assert shell(job, gate, **actions).returncode == 0
    assert {path.name for path in job.iterdir()} >= {"gate.xml", "gate.sarif", "comment.md", "summary.md", "reports"}
    assert shell(job, comment, PULL_REQUEST="7").returncode == 0
    assert (job / "gh.log").read_text(encoding="utf-8").startswith("pr comment 7 --body-file comment.md")


def test_the_github_snippet_stops_a_broken_network(job: Path) -> None:
    *before, gate, _ = github_runs(GITHUB)
    for script in before:
        assert shell(job, script, stub="bad").returncode == 0
    done = shell(job, gate, GITHUB_ACTIONS="true", GITHUB_STEP_SUMMARY=str(job / "summary.md"))
    assert done.returncode == 1
    assert "::error title=" in done.stdout
    assert "QD301" in (job / "summary.md").read_text(encoding="utf-8")


def test_the_snippet_with_the_action_gives_inputs_that_exist() -> None:
    (step,) = [s for s in WITH_ACTION["jobs"]["gate"]["steps"] if s.get("uses", "").startswith("OWNER/qdiag@")]
    assert set(step["with"]) <= set(ACTION["inputs"])
    required = {name for name, definition in ACTION["inputs"].items() if definition.get("required")}
    assert required <= set(step["with"])


def test_the_snippet_with_the_action_runs(job: Path) -> None:
    (step,) = [s for s in WITH_ACTION["jobs"]["gate"]["steps"] if s.get("uses", "").startswith("OWNER/qdiag@")]
    (job / "reports").mkdir()
    (job / "good").rename(job / "reports" / "run1")
    assert action_step(job, "Gate", {**step["with"]}).returncode == 0
    assert (job / step["with"]["sarif"]).is_file()


@pytest.mark.parametrize(("stub", "code"), [("good", 0), ("bad", 1)])
def test_the_gitlab_snippet(job: Path, stub: str, code: int) -> None:
    done = shell(job, "\n".join(GITLAB["quantization"]["script"]), stub=stub)
    assert done.returncode == code, done.stderr
    assert (job / GITLAB["quantization"]["artifacts"]["reports"]["junit"]).is_file()


@pytest.mark.parametrize(("stub", "code"), [("good", 0), ("bad", 1)])
def test_the_jenkins_snippet(job: Path, stub: str, code: int) -> None:
    (groovy,) = blocks("groovy")
    assert groovy.count("{") == groovy.count("}")
    lines = re.findall(r"^\s*sh '([^']+)'$", groovy, re.MULTILINE)
    assert len(lines) == 3
    done = shell(job, "\n".join(lines), stub=stub)
    assert done.returncode == code, done.stderr
    (file,) = re.findall(r"^\s*junit '([^']+)'$", groovy, re.MULTILINE)
    assert (job / file).is_file()


@pytest.mark.parametrize(("stub", "code"), [("good", 0), ("bad", 1)])
def test_the_pre_commit_snippet_with_limits_in_a_file(job: Path, stub: str, code: int) -> None:
    (hook,) = PRE_COMMIT["repos"][0]["hooks"]
    (job / "reports").mkdir()
    (job / stub).rename(job / "reports" / "run1")
    (job / "qdiag.toml").write_text("[gate]\nmax_drop = 1\n", encoding="utf-8")
    assert shell(job, hook["entry"]).returncode == code
    assert re.search(hook["files"], "reports/run1/diagnosis.json")
    assert not re.search(hook["files"], "qdiag_toml")
    assert {"id", "name", "language", "entry"} <= set(hook)


def test_the_limits_shown_can_be_read(tmp_path: Path) -> None:
    (text,) = blocks("toml")
    (tmp_path / "qdiag.toml").write_text(text, encoding="utf-8")
    settings = read_gate_file(tmp_path / "qdiag.toml")
    assert settings["max_drop"].value == 1.0
    assert settings["warn_drop"].value == 0.5
    assert settings["allow.head.*"].value == 5
