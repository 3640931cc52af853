"""What the page shows of a quantized file."""

from dataclasses import dataclass, replace

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.deployed.verification import Verification
from qdiag.core.measures.task import Figure
from qdiag.reading.words.deployed.file import deployed_lines
from qdiag.reading.words.deployed.operations import float_words, integer_words
from qdiag.reading.words.deployed.rules import no_better_words, rules_words
from qdiag.reading.words.deployed.tables import LayerLine, edit_rows, figure_lines, layer_lines
from qdiag.reading.words.deployed.verification import integer_agreement, uncompared_words


@dataclass(frozen=True, slots=True)
class DeployedView:
    """A file beside its simulation.

    Attributes:
        operations: with what the runtime computes; empty where the file was not run, as are those below.
        agreement: in how many integers the two differ. uncompared: layers that cannot be compared.
        lines: what was read from it, and what of it was not found.
        figures, layers: rows of the tables. edits: what changes in the file.
        judged: by what the network is judged, of the file.
        repaired: the same of the file with the repairs; None where none was written and run.
    """

    source: str
    encoding: str
    operations: str
    agreement: str
    uncompared: tuple[str, ...]
    figures: tuple[tuple[str, str, str, str], ...]
    layers: tuple[LayerLine, ...]
    edits: tuple[tuple[str, str, str, str], ...]
    lines: tuple[str, ...]
    judged: Figure | None = None
    repaired: "DeployedView | None" = None

    @property
    def has_reasons(self) -> bool:
        """The rules of the runtime are not known to the last bit somewhere."""
        return any(line.reason for line in self.layers)


def deployed_view(diagnosis: Diagnosis) -> DeployedView | None:
    """None where no quantized file was diagnosed."""
    file = diagnosis.measurement.deployed
    if file is None:
        return None
    own = _view(file.source, file.encoding, diagnosis.verification)
    again = _view(diagnosis.repaired_file, file.encoding, diagnosis.repaired_run)
    has_run = diagnosis.repaired_run is not None
    edits = edit_rows(diagnosis.file_edits)
    again = replace(again, agreement="; ".join(filter(None, (again.agreement, no_better_words(diagnosis).rstrip(".")))))
    return replace(own, edits=edits, lines=deployed_lines(file), repaired=again if has_run else None)


def _view(source: str, encoding: str, run: Verification | None) -> DeployedView:
    if run is None:
        return DeployedView(source, encoding, "", "", (), (), (), (), ())
    return DeployedView(
        source=source,
        encoding=encoding,
        operations=f"{integer_words(run.operations)}; {float_words(run.operations)}",
        agreement="; ".join((integer_agreement(run), *rules_words(run))),
        uncompared=tuple(uncompared_words(run)),
        figures=figure_lines(run),
        layers=layer_lines(run),
        edits=(),
        lines=(),
        judged=run.deployed_task.judged,
    )
