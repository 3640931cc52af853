"""The experiments: a file each, and a line here."""

from qdiag.reproduce.experiment import PaperExperiment
from qdiag.reproduce.experiments.bnn import BNN
from qdiag.reproduce.experiments.qat import QAT

EXPERIMENTS: dict[str, PaperExperiment] = {experiment.name: experiment for experiment in (BNN, QAT)}
