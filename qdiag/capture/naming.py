"""Names that a user recognizes, from what capture remembers of the original modules."""

from torch import fx

from qdiag.onnx.recorder import LAYER_NAME

_CONTAINERS = ("torch.nn.modules.container.",)


def module_path(node: fx.Node, weight_name: str | None) -> str:
    """Path of the module that owns the operation: by its weight, otherwise by the call stack; empty for the top."""
    if weight_name:
        return weight_name.rpartition(".")[0]
    return _stack(node)[0]


def readable_name(node: fx.Node, kind: str, weight_name: str | None) -> str:
    """The module path where the module is the operation; the path and the kind where it does more than that.

    `features.0.0` for a convolution, `layer1.0.add` for the addition of a residual block, `attn.in_proj` for the
    parameter `attn.in_proj_weight`.
    """
    given = node.meta.get(LAYER_NAME)
    if given is not None:
        return str(given)
    if weight_name:
        path, _, parameter = weight_name.rpartition(".")
        part = parameter.removesuffix("weight").rstrip("_")
        return ".".join(p for p in (path, part) if p) or kind
    path, class_name = _stack(node)
    is_leaf = class_name.startswith("torch.nn.modules.") and not class_name.startswith(_CONTAINERS)
    if path and is_leaf and "activation.Multihead" not in class_name:
        return path
    return f"{path}.{kind}" if path else kind


def output_name(layer: str, operation: str, index: int) -> str:
    """Of a further output of a layer: `lstm.h_n`, `split[1]`."""
    states = {"lstm": ("", "h_n", "c_n"), "gru": ("", "h_n"), "rnn_tanh": ("", "h_n"), "rnn_relu": ("", "h_n")}
    names = states.get(operation.removesuffix("_reset_first").removesuffix("_peepholes"), ())
    return f"{layer}.{names[index]}" if index < len(names) and names[index] else f"{layer}[{index}]"


def _stack(node: fx.Node) -> tuple[str, str]:
    """Path and class of the innermost module around the operation."""
    entries = list((node.meta.get("nn_module_stack") or {}).values())
    for path, class_name in reversed(entries):
        text = class_name if isinstance(class_name, str) else f"{class_name.__module__}.{class_name.__qualname__}"
        if "_empty_nn_module_stack" in str(path):
            continue
        return str(path), text
    return "", ""
