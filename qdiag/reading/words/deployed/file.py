"""What was read from a quantized file, and what of it was not found in the float network."""

from qdiag.core.listed import listed
from qdiag.core.measures.deployed.file import DeployedFile
from qdiag.reading.words.numbers import count_noun

_SHOWN = 4


def deployed_lines(file: DeployedFile | None) -> tuple[str, ...]:
    """`int8.onnx (QDQ): its scales, zero points and integers are the plan`, and what stands out; empty without one."""
    if file is None:
        return ()
    digest = f", sha256 {file.file_digest[:12]}" if file.file_digest else ""
    stored = "scales, zero points, integer weights and biases are those of the file"
    lines = [f"{file.source} ({file.encoding}{digest}): {stored}"]
    if file.reference != "dequantized":
        given = "float network" if file.reference == "float" else "network that was given"
        lines.append(f"{count_noun(len(file.layers), 'layer')} of the {given} found in it{_ways(file)}")
    if file.reference == "quantized":
        lines.append(
            "that network is quantized itself: the reference has its weights as its integers stand for them, and what "
            "rounding them cost is not in these figures. To see it, give the float network"
        )
    if file.reference == "dequantized":
        lines.append(
            "the reference is its own weights, as the integers stand for them: what rounding the weights costs is not "
            "in these figures. To see it, give the float network and --quantized with this file"
        )
        if file.clamped:
            what = "a ReLU" if len(file.clamped) == 1 else f"{len(file.clamped)} ReLUs"
            lines.append(f"{what} that it leaves to the lowest integer, put back: {listed(file.clamped, _SHOWN)}")
    if file.left_out and file.reference != "dequantized":  # of a file alone the end of the network is told
        lines.append(
            f"it is run up to {listed(file.left_out, _SHOWN)}, because how many results that gives depends on the data"
        )
    if file.other_weights:
        lines.append(f"these weights do not come from those of the network: {listed(file.other_weights, _SHOWN)}")
    if file.only_float:
        lines.append(f"these layers were not found in it and are in float here: {listed(file.only_float, _SHOWN)}")
    if file.only_file:
        lines.append(f"these layers are in it alone and are not simulated: {listed(file.only_file, _SHOWN)}")
    if file.unplaced:
        lines.append(f"these layers are not simulated as it quantizes them: {listed(file.unplaced, _SHOWN)}")
    return tuple(lines)


def _ways(file: DeployedFile) -> str:
    """How the layers were found that have other names there; empty where none has."""
    ways = ((file.by_weights, "by their weights"), (file.by_place, "by what stands around them"))
    told = [f"{count} {how}" for count, how in ways if count]
    return f", {' and '.join(told)}" if told else ""
