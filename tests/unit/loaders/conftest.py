"""Here the readers themselves are under test, with the child process that reads first."""

import pytest


@pytest.fixture(autouse=True)
def readers_as_they_are(child_reads_first: None) -> None:
    """As outside of tests."""
