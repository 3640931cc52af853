"""What was read from a quantized file, and what of it was not found in the float network."""

from qdiag.core.listed import listed
from qdiag.core.measures.deployed.file import DeployedFile
from qdiag.reading.words.numbers import count_noun

_SHOWN = 4


def deployed_lines(file: DeployedFile | None) -> tuple[str, ...]:
    """`int8.onnx (QDQ): its scales, zero points and integers are the plan`, and what stands out; empty without one."""
    if file is None:
        return ()
    lines = [f"{file.source} ({file.encoding}): scales, zero points, integer weights and biases are those of the file"]
    if file.reference == "float":
        count = len(file.layers)
        lines.append(f"{count_noun(count, 'layer')} of the float network found in it")
    else:
        lines.append(
            "the reference is its own weights, as the integers stand for them: what rounding the weights costs is not "
            "in these figures. To see it, give the float network and --quantized with this file"
        )
        if file.clamped:
            what = "a ReLU" if len(file.clamped) == 1 else f"{len(file.clamped)} ReLUs"
            lines.append(f"{what} that it leaves to the lowest integer, put back: {listed(file.clamped, _SHOWN)}")
    if file.only_float:
        lines.append(f"not found in it, and in float here: {listed(file.only_float, _SHOWN)}")
    if file.only_file:
        lines.append(f"in it alone, and not simulated: {listed(file.only_file, _SHOWN)}")
    if file.unplaced:
        lines.append(f"not simulated as it quantizes them: {listed(file.unplaced, _SHOWN)}")
    return tuple(lines)
