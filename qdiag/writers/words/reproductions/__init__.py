"""Words for the experiments of `qdiag reproduce`: a file each, and a line here."""

from qdiag.writers.words.reproductions.base import ExperimentWords
from qdiag.writers.words.reproductions.bnn import BNN
from qdiag.writers.words.reproductions.mobilenet import MOBILENET
from qdiag.writers.words.reproductions.qat import QAT
from qdiag.writers.words.reproductions.repvgg import REPVGG

WORDS: dict[str, ExperimentWords] = {"bnn": BNN, "mobilenet": MOBILENET, "qat": QAT, "repvgg": REPVGG}
