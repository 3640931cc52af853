"""Images at another size."""

from collections.abc import Mapping

from qdiag.litert.call import Call, Rule


def _resize(mode: str) -> Rule:
    """The sizes are those that the file declares for the output."""

    def run(call: Call) -> None:
        _, height, width, _ = call.output().shape
        corners, centred = bool(call.option("alignCorners")), bool(call.option("halfPixelCenters"))
        where = "align_corners" if corners else "half_pixel" if centred else "asymmetric"
        attributes: dict[str, object] = {"mode": mode, "coordinate_transformation_mode": where}
        if mode == "nearest":
            attributes["nearest_mode"] = "floor" if where == "asymmetric" else "round_prefer_ceil"
        x = call.read(0, "first")
        sizes = call.writer.numbers([height, width])
        call.node("Resize", [x, "", "", sizes], call.put("first"), axes=[2, 3], **attributes)

    return run


def _blocks(op: str) -> Rule:
    def run(call: Call) -> None:
        x = call.read(0, "first")
        call.node(op, [x], call.put("first"), blocksize=int(call.option("blockSize", 1)))

    return run


OPERATORS: Mapping[str, Rule] = {
    "RESIZE_BILINEAR": _resize("linear"),
    "RESIZE_NEAREST_NEIGHBOR": _resize("nearest"),
    "DEPTH_TO_SPACE": _blocks("DepthToSpace"),
    "SPACE_TO_DEPTH": _blocks("SpaceToDepth"),
}
