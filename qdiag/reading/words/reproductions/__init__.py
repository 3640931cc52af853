"""Words for the experiments of `qdiag reproduce`: a file each, and a line here."""

from qdiag.reading.words.reproductions.base import ExperimentWords
from qdiag.reading.words.reproductions.bnn import BNN
from qdiag.reading.words.reproductions.mobilenet import MOBILENET
from qdiag.reading.words.reproductions.qat import QAT
from qdiag.reading.words.reproductions.repvgg import REPVGG

WORDS: dict[str, ExperimentWords] = {"bnn": BNN, "mobilenet": MOBILENET, "qat": QAT, "repvgg": REPVGG}
