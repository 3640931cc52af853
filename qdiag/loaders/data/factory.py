"""`./file.py:factory` and `package.module:factory`: the user's own code yields the batches."""

from qdiag.errors import DataError, LoadError
from qdiag.loaders.data.objects import samples_of
from qdiag.loaders.data.samples import Reading, StoredData
from qdiag.loaders.python_ref import is_python_ref, load_object


def matches(reference: str) -> bool:
    """A Python file or module, a colon, and the name of a factory."""
    return is_python_ref(reference)


def read(reference: str, reading: Reading) -> StoredData:
    """The samples that a factory yields; it is called once to count and check them, and once per pass after that.

    Raises:
        DataError: the factory cannot be found, fails, or yields something else than batches; or a preprocessing was
            given, which only stored pixels can have.
    """
    if reading.preprocessing is not None:
        raise DataError(
            "preprocessing options do not apply to batches of a factory",
            at=reference,
            hint="preprocess in the factory and leave the options out",
        )
    try:
        found = load_object(reference)
    except LoadError as error:
        raise DataError(error.message, at=error.at or reference, hint=error.hint) from error
    return StoredData(samples_of(found, reference))
