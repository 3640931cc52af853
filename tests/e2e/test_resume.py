"""Every command that measures goes on where it was stopped, and gives the result of an undisturbed run."""

import re
from pathlib import Path

import pytest

from qdiag.cli.app import run
from qdiag.files.cache_folder import FolderCache
from tests.e2e.measuring import COMMANDS, command_line, make_inputs, result, use_as_demo


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("inputs")
    make_inputs(folder)
    return folder


class Stopping:
    """Counts the passes that are kept, and the notes about them, and stops the run, as Ctrl-C does, right after the
    pass of that number."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, number: int | None = None) -> None:
        self.count, put, put_note = 0, FolderCache.put, FolderCache.put_note
        self.notes: set[str] = set()

        def stop(cache: FolderCache, key: str, value: bytes) -> None:
            put(cache, key, value)
            self.count += 1
            if self.count == number:
                raise KeyboardInterrupt

        def note(cache: FolderCache, key: str, value: bytes) -> None:
            put_note(cache, key, value)
            self.notes.add(key)

        monkeypatch.setattr(FolderCache, "put", stop)
        monkeypatch.setattr(FolderCache, "put_note", note)


def result_of(name: str, line: list[str], folder: Path) -> bytes:
    """Of the command, without the times, which differ between any two runs."""
    assert run(line) in (0, 1) if line[0] == "gate" else run(line) == 0
    return re.sub(rb'"(elapsed_s|seconds)": [^\n]*', b"", result(name, folder).read_bytes())


@pytest.mark.usefixtures("one_picture_drawn")
@pytest.mark.parametrize("name", [*COMMANDS, "demo"])
def test_a_command_that_was_stopped_goes_on_from_there(
    name: str, inputs: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, cache = tmp_path / "out", tmp_path / "cache"
    monkeypatch.setenv("QDIAG_CACHE_DIR", str(cache))
    folder.mkdir()
    use_as_demo(inputs, monkeypatch)
    line = command_line(name, inputs, folder)
    whole = result_of(name, [*line, "--no-cache"], folder)
    assert not cache.exists()
    result(name, folder).unlink()
    stop_after = 1 if name == "ranges" else 2  # it has one pass
    with monkeypatch.context() as patched:
        Stopping(patched, stop_after)
        assert run(line) == 130
    assert not result(name, folder).exists()
    assert f"{stop_after} finished pass" in capsys.readouterr().err
    with monkeypatch.context() as patched:
        rest = Stopping(patched)
        assert result_of(name, line, folder) == whole
    assert re.search(
        rf"{stop_after} finished pass(es)? of an earlier run (was|were) used again", capsys.readouterr().err
    )
    kept = len(list(cache.glob("*.pass")))
    assert kept == stop_after + rest.count
    assert {path.stem for path in cache.glob("*.note")} == rest.notes
    with monkeypatch.context() as patched:
        again = Stopping(patched)
        batches = _without_passes(patched)
        assert result_of(name, line, folder) == whole
    assert again.count == 0
    trained = ["measure, epoch 0 of 1", "measure, epoch 1 of 1"] if name == "qat" else []
    assert batches == trained, "every pass over the data is kept, but those of a training, which has a file of its own"


def _without_passes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Stages of passes that are run nevertheless."""
    from qdiag import batches

    found: list[str] = []
    through = batches.run_through

    def counted(given: batches.Batches, progress: object, stage: str) -> object:
        found.append(stage)
        return through(given, progress, stage)  # type: ignore[arg-type]

    for module in ("distributed.divided", "pipeline.float_change"):
        monkeypatch.setattr(f"qdiag.{module}.run_through", counted)
    return found
