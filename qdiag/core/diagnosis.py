"""A diagnosis: everything that one run found, as plain numbers, from which all can be drawn again without the model."""

from dataclasses import dataclass, field

from qdiag.core.causes.ranking import Ranking
from qdiag.core.causes.score import Score
from qdiag.core.causes.training_trial import TrainingTrial
from qdiag.core.measures.bn import BatchNormAudit
from qdiag.core.measures.branches.layers import BlockLayers
from qdiag.core.measures.deployed.edit import FileEdit
from qdiag.core.measures.deployed.verification import Verification
from qdiag.core.measures.facts import LayerFacts
from qdiag.core.measures.measurement import Measurement, StageTime
from qdiag.core.measures.records import OpRecord
from qdiag.core.measures.sensitivity import Sensitivity
from qdiag.core.presentation.presented import PresentedDiagnosis

DIAGNOSIS_SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class BitsPoint:
    """The network at another width of all weights and activations."""

    bits: int
    score: Score


@dataclass(frozen=True, slots=True)
class RepairedNetwork:
    """The quantized network after the last repair of the sequence; without any, after the change of scheme that helps.

    Attributes:
        sample_count: on how many of the measured samples most layers were measured, the same as in the untreated
            network; those with few values on all of them.
        records: of its layers, each against the float network with the same repairs, whose weights may be others than
            those of the float network that was given. Ranges are without their histograms.
        settings: values of `--set` that make the change of scheme; empty where the repairs of the sequence were made.
    """

    sample_count: int
    records: tuple[OpRecord, ...]
    settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Diagnosis(PresentedDiagnosis):
    """Powers and counts are stored, decibels are derived.

    Attributes:
        measurement: model, data, scheme, layer by layer figures, versions.
        facts: one per record of the measurement, in the same order.
        batchnorms: None when the model has no BatchNorm that could be audited.
        ranking: findings and causes.
        sensitivity, bits: None and empty when they were left out.
        stages: wall time of each stage, all of the run.
        options: command-line options of the run that say which network, data and scheme were meant (`--arch`, `--data`,
            `--preset`, `--scheme`, `--set`, ...), one word each, for the commands that a report proposes.
        blocks: parallel linear branches that one convolution replaces; empty in results stored before they were kept.
        trainings: what training recovers where repairs without it leave something, or why it was not tried; empty
            where nobody asked and nothing is lost, and in results stored before.
        file_edits: what the repairs change in the quantized file that was diagnosed.
        verification: that file run in its runtime beside the simulation; None without a file, or without the runtime.
        scheme_file: where the change of scheme that helps most was written, as the commands name it; empty where it was
            not. repaired_scheme_file: the same of what the proposed repairs change of the scheme.
        repaired_file: where the quantized file with its repairs was written; empty where it was not.
        repaired_run: that file run in its runtime beside the repaired network.
        repaired_network: layer by layer what is left after the repairs; None where nothing helps, and in results stored
            before it was kept.
    """

    measurement: Measurement
    facts: tuple[LayerFacts, ...]
    ranking: Ranking
    batchnorms: BatchNormAudit | None = None
    sensitivity: Sensitivity | None = None
    bits: tuple[BitsPoint, ...] = ()
    notes: tuple[str, ...] = ()
    stages: tuple[StageTime, ...] = ()
    versions: dict[str, str] = field(default_factory=dict)
    schema_version: int = DIAGNOSIS_SCHEMA_VERSION
    options: tuple[str, ...] = ()
    blocks: tuple[BlockLayers, ...] = ()
    trainings: tuple[TrainingTrial, ...] = ()
    file_edits: tuple[FileEdit, ...] = ()
    verification: Verification | None = None
    scheme_file: str = ""
    repaired_scheme_file: str = ""
    repaired_file: str = ""
    repaired_run: Verification | None = None
    repaired_network: RepairedNetwork | None = None

    def layer_facts(self, name: str) -> LayerFacts:
        """The facts of one layer.

        Raises:
            KeyError: there is none of that name.
        """
        for facts in self.facts:
            if facts.layer == name:
                return facts
        raise KeyError(name)
