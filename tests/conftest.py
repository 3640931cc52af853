"""Fixtures that every test may ask for."""

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real weights and photographs, which the project itself does not ship."""
    named = os.environ.get("QDIAG_REAL_DATA")
    folder = Path(named) if named else Path(__file__).resolve().parents[2] / "shared" / "data"
    if not folder.is_dir():
        pytest.skip(f"no real weights and images at {folder.name}: set QDIAG_REAL_DATA to their folder")
    return folder
