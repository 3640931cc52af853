"""Words for the experiments of `qdiag reproduce`: a file each, and a line here."""

from qdiag.writers.words.reproductions.base import ExperimentWords
from qdiag.writers.words.reproductions.bnn import BNN
from qdiag.writers.words.reproductions.qat import QAT

WORDS: dict[str, ExperimentWords] = {"bnn": BNN, "qat": QAT}
