"""What the one convolution of a block is called, by the conventions of those who write such blocks."""

from qdiag.capture.branches.block import LinearBlock

_CONVENTIONS = (
    (("rbr_conv", "rbr_scale", "conv_kxk", "conv_scale"), "reparam_conv"),
    (("rbr_",), "rbr_reparam"),
    (("dbb_",), "dbb_reparam"),
    (("square_", "ver_", "hor_"), "fused_conv"),
)
"""Beginnings of the names of branches, and what the deployed form calls its convolution: MobileOne (and timm's);
RepVGG, YOLOv6, YOLOv7; diverse branch blocks; ACNet."""
_OTHERWISE = "reparam"


def deployed_name(block: LinearBlock) -> str:
    """Module path of the convolution, `layer1.0.rbr_reparam`."""
    inside = [path.name.removeprefix(f"{block.path}.") for path in block.paths if path.name != "identity"]
    for beginnings, name in _CONVENTIONS:
        if any(one.startswith(beginnings) for one in inside):
            return f"{block.path}.{name}" if block.path else name
    return f"{block.path}.{_OTHERWISE}" if block.path else _OTHERWISE
