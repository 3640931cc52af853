"""Where `torch.export` itself is under test, it runs each time."""

from collections.abc import Iterator

import pytest

from qdiag.capture import routes
from tests.exports import SharedExports

_OF_EXPORT = ("test_as_module", "test_computed", "test_observers", "test_routes", "test_state")
"""Files on what export makes of a network. The others begin with a program, of whichever test."""


@pytest.fixture(scope="module", autouse=True)
def exported_anew(request: pytest.FixtureRequest) -> Iterator[None]:
    shared = routes._exported
    assert isinstance(shared, SharedExports)
    with pytest.MonkeyPatch.context() as patch:
        if request.path.stem in _OF_EXPORT:
            patch.setattr(routes, "_exported", shared.export)
        yield
