"""What `--json` of most commands writes."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from qdiag.writers.json.results import Result


def write_result(file: str | None, result: "Result") -> None:
    """The result as JSON, if a file for it was named; the writer is imported only then.

    Raises:
        WriteError: it cannot be written.
    """
    if file is not None:
        from qdiag.files.atomic import write_file
        from qdiag.writers.json.results import result_to_json

        write_file(file, result_to_json(result))
