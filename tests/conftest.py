"""Fixtures that every test may ask for."""

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.first_imports import import_from_another_place
from tests.forks.forking import LIGHT, Forks


def pytest_sessionstart() -> None:
    """No garbage is looked for until the tests are collected: all that is made until then stays."""
    gc.disable()


def pytest_collection(session: pytest.Session) -> None:
    import_from_another_place(session)


def pytest_collection_finish() -> None:
    """The collector leaves alone what was imported, which takes it half a second each time it looks.

    After that it looks a tenth as often as usual: tests make many objects, and few of them hold on to each other.
    """
    gc.freeze()
    gc.set_threshold(10_000, 10, 10)
    gc.enable()


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No test finds or leaves finished passes in the user's own cache.

    `TEST_PASSES_OF_QDIAG` is a folder for those that all processes of a test run share.
    """
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("QDIAG_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("TEST_PASSES_OF_QDIAG", str(shared / "passes"))
        yield


@pytest.fixture(scope="session", autouse=True)
def shared_exports() -> Iterator[None]:
    """`torch.export` runs once per kind of network and shapes; some of `tests/unit/capture` have it run each time."""
    from qdiag.capture import routes
    from tests.exports import KnownHints, SharedExports

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "_exported", SharedExports(routes._exported))
        patch.setattr("torch._export.serde.serialize.typing", KnownHints())
        yield


@pytest.fixture(scope="session", autouse=True)
def absent_devices_are_not_seeded() -> Iterator[None]:
    """`torch.manual_seed` writes down the stack of its caller for three kinds of devices, half a millisecond here."""
    import torch

    with pytest.MonkeyPatch.context() as patch:
        if not torch.accelerator.is_available():
            for device in (torch.cuda, torch.xpu, torch.mtia):
                patch.setattr(device, "manual_seed_all", lambda seed: None)
        yield


@pytest.fixture(scope="session", autouse=True)
def commands_are_built_once() -> Iterator[None]:
    """Lines that tests run in their own processes share the programs and their options."""
    import typer.main

    from qdiag.cli import app
    from tests.built_commands import BuiltCommands

    built = BuiltCommands(app.make_app, typer.main.get_command)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app, "make_app", built.program)
        patch.setattr(typer.main, "get_command", built.command)
        yield


@pytest.fixture(scope="session", autouse=True)
def files_are_read_once() -> Iterator[None]:
    """No child process reads a file, and captures the network in it, before the test does: that doubles its time.

    Who tests what the child is for asks for `child_reads_first`.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("qdiag.loaders.probe.can_probe", lambda: False)
        yield


@pytest.fixture
def child_reads_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """As outside of tests, where the system can."""
    from qdiag.loaders import probe

    monkeypatch.setattr(probe, "can_probe", lambda: hasattr(os, "fork") and sys.platform != "darwin")


@pytest.fixture(autouse=True)
def denormals_are_numbers() -> Iterator[None]:
    """Commands that a test runs in its own process make denormal numbers count as zero; the next test gets them back.

    Without this, whether Hypothesis may draw floats depends on the tests that the same worker has run before.
    """
    yield
    if torch := sys.modules.get("torch"):
        torch.set_flush_denormal(False)


@pytest.fixture
def only_new_objects_collected() -> None:
    """The garbage collector leaves what is older than the test alone: among all that was imported it takes long."""
    gc.freeze()


@pytest.fixture(scope="session")
def forks() -> Iterator[Forks]:
    """Processes of commands on stored results, which do without a start of Python and their imports, a second each."""
    variables = {name: value for name, value in os.environ.items() if not name.startswith(("QDIAG_", "GITHUB_"))}
    made = Forks(LIGHT, variables)
    yield made
    made.close()


@pytest.fixture
def one_layer_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have pictures of the worst layer, and not of seven more, which take as long as all the others."""
    monkeypatch.setattr("qdiag.writers.plots.pictures.LAYERS_DRAWN", 1)


@pytest.fixture
def one_picture_drawn(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reports have their first picture alone: for tests of what stands around the pictures."""
    from qdiag.writers.plots import pictures

    every = pictures.report_pictures
    monkeypatch.setattr(pictures, "report_pictures", lambda diagnosis: every(diagnosis)[:1])


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real weights and photographs, which the project itself does not ship."""
    named = os.environ.get("QDIAG_REAL_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real weights and images at {folder.name}: set QDIAG_REAL_DATA to their folder")
    return folder


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--update-golden", action="store_true", help="write what the program prints now as the expectation"
    )


@pytest.fixture
def check_golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """Compares a text with a file in tests/golden, or replaces the file with `--update-golden`."""
    update = bool(request.config.getoption("--update-golden"))

    def check(name: str, text: str) -> None:
        path = Path(__file__).parent / "golden" / name
        if update:
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"no {path.name}: run pytest with --update-golden and look at what it writes"
        assert text == path.read_text(encoding="utf-8")

    return check
