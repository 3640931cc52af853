"""The experiments: a file each, and a line here."""

from qdiag.reproduce.experiment import PaperExperiment
from qdiag.reproduce.experiments.bnn import BNN
from qdiag.reproduce.experiments.mobilenet import MOBILENET
from qdiag.reproduce.experiments.qat import QAT
from qdiag.reproduce.experiments.repvgg import REPVGG

EXPERIMENTS: dict[str, PaperExperiment] = {experiment.name: experiment for experiment in (BNN, MOBILENET, QAT, REPVGG)}
