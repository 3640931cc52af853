"""Every planted fault, in the order of the codes; each has a healthy twin."""

from tests.planted import (
    faults_activations,
    faults_branches,
    faults_graph,
    faults_low_bits,
    faults_normalization,
    faults_stored,
    faults_weights,
)
from tests.planted.fault import PlantedFault

FAULTS: tuple[PlantedFault, ...] = tuple(
    sorted(
        (
            *faults_weights.FAULTS,
            *faults_activations.FAULTS,
            *faults_low_bits.FAULTS,
            *faults_normalization.FAULTS,
            *faults_graph.FAULTS,
            *faults_branches.FAULTS,
            *faults_stored.FAULTS,
        ),
        key=lambda fault: fault.code,
    )
)
