"""A hand-made diagnosis of a quantized file that was run in its runtime."""

from dataclasses import replace

from qdiag.core.diagnosis import Diagnosis
from qdiag.core.measures.deployed.edit import FileEdit
from qdiag.core.measures.deployed.file import DeployedFile, DeployedLayer
from qdiag.core.measures.deployed.operations import FloatOperation, RuntimeOperations
from qdiag.core.measures.deployed.verification import LayerAgreement, UncomparedLayer, Verification, VerifyLimits
from qdiag.core.measures.quantizer import QuantizerRecord
from tests.diagnoses import diagnosis

FILE = "models/int8.onnx"


def deployed_diagnosis(base: Diagnosis | None = None) -> Diagnosis:
    """Of 15 layers one differs, by two steps at most, and one cannot be compared; four tensors are to be changed."""
    base = base or diagnosis()
    measured, names = base.measurement, [record.name for record in base.measurement.records]
    layers = tuple(DeployedLayer(name, name, f"{name}_out", is_float=False, output_count=1) for name in names)
    file = DeployedFile(FILE, "QDQ", "float", layers, unplaced=("mixed",), clamped=("stem_out",))
    agreements = [LayerAgreement(name, f"{name}_quantized", 120_000, 0, 0) for name in names[:15]]
    agreements[3] = replace(agreements[3], differing_count=5_400, largest_steps=2, reason="a softmax in float")
    operations = RuntimeOperations("onnxruntime 1.32.0", {"QLinearConv": 27}, {}, (FloatOperation("Tanh", "act<b>"),))
    run = Verification(
        model=measured.model,
        data=measured.data,
        scheme=measured.scheme,
        capture=measured.capture,
        source=FILE,
        limits=VerifyLimits(),
        operations=operations,
        fallen_back=(),
        layers=tuple(agreements),
        uncompared=(UncomparedLayer("head", "the file holds no integers of it"),),
        simulated=measured.outputs,
        deployed=measured.outputs,
        simulated_task=base.ranking.before.task,
        deployed_task=replace(base.ranking.before.task),
        sample_count=500,
        equal_count=500,
    )
    quantizer = QuantizerRecord(8, False, 0.0117, 40, 0, 255, -0.468, 2.5155)
    edits = (
        FileEdit(names[1], "stem_out", "output", quantizer, replace(quantizer, scale=0.0059, zero_point=128)),
        FileEdit(names[1], "stem.weight", "weight", quantizer, quantizer, 32),
        FileEdit(names[1], "stem.bias", "bias", None, quantizer, 32),
        FileEdit(names[2], "c|d", "output", quantizer, None),
    )
    return replace(base, measurement=replace(measured, deployed=file), verification=run, file_edits=edits)
