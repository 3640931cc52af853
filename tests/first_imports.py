"""Each process of a test run imports the test files from another place on.

What pytest makes of their assertions takes it as long as all else until the first test. Where all processes begin with
the same file, each makes it of all files; so, each finds what the others have made of theirs.
"""

import os
import sys
from pathlib import Path

import pytest
from _pytest.pathlib import import_path


def import_from_another_place(session: pytest.Session) -> None:
    """Before they are collected; does nothing in the first process, and where files are named."""
    worker, count = os.environ.get("PYTEST_XDIST_WORKER", ""), int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    number = int(worker.removeprefix("gw") or "0")
    folders = [session.config.rootpath / name for name in session.config.args]
    if number == 0 or not all(folder.is_dir() for folder in folders):
        return
    files = sorted(file for folder in folders for file in folder.rglob("test_*.py"))
    start = number * len(files) // count
    for file in files[start:]:
        import_alone(file, session.config)


def import_alone(file: Path, config: pytest.Config) -> None:
    """As pytest imports it; one that cannot be imported is left to the collection, which tells why."""
    before = set(sys.modules)
    try:
        import_path(
            file,
            mode=config.getoption("--import-mode"),
            root=config.rootpath,
            consider_namespace_packages=config.getini("consider_namespace_packages"),
        )
    except (Exception, pytest.skip.Exception, pytest.fail.Exception):
        for name in set(sys.modules) - before:
            if getattr(sys.modules[name], "__file__", None) == str(file):
                del sys.modules[name]
