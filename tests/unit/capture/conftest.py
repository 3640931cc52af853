"""Here `torch.export` itself is under test, and runs each time."""

from collections.abc import Iterator

import pytest

from qdiag.capture import routes
from tests.exports import SharedExports


@pytest.fixture(scope="module", autouse=True)
def exported_anew() -> Iterator[None]:
    shared = routes._exported
    assert isinstance(shared, SharedExports)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(routes, "_exported", shared.export)
        yield
