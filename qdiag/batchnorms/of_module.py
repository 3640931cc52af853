"""BatchNorms of an `nn.Module`: paired by a symbolic trace where it succeeds, by module order where it does not."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd

from qdiag.batchnorms.sites import (
    NO_NEIGHBOUR,
    GraphOp,
    LayerTensors,
    NormSite,
    NormSites,
    NormTensors,
    describe_pair,
    number_calls,
    pair_in_graph,
)
from qdiag.capture.fake_quantizers.silence import folds_in_training

_PASSES = (nn.Identity, nn.Dropout, nn.Dropout1d, nn.Dropout2d, nn.Dropout3d, nn.AlphaDropout)


def norms_of_module(model: nn.Module) -> NormSites:
    """The BatchNorms of a module, in the order in which they run where a trace tells; the module is left as it was."""
    with _untouched(model):
        model.eval()
        sites, untraced = _traced(model, "")
    seen = {site.norm.name for site in sites}
    left = [name for name, module in model.named_modules() if isinstance(module, _BatchNorm) and name not in seen]
    notes = []
    if untraced:
        notes.append(
            f"{', '.join(untraced[:3])}{' and others' if len(untraced) > 3 else ''}: no symbolic trace, "
            "pairs there follow the order of the modules"
        )
        ordered = {site.norm.name: site for site in _in_module_order(model)}
        # What a trace of the inner modules could not pair may have its neighbour outside of them.
        sites = [ordered.get(site.norm.name, site) if site.pair is None else site for site in sites]
        sites += [ordered[name] for name in left]
        order = {name: i for i, (name, _) in enumerate(model.named_modules(remove_duplicate=False))}
        sites.sort(key=lambda site: order.get(site.norm.name, len(order)))
    elif left:
        notes.append(f"never called, left out: {', '.join(left[:3])}{' and others' if len(left) > 3 else ''}")
    return NormSites("modules" if untraced else "fx", tuple(number_calls(sites)), tuple(notes))


class _Tracer(fx.Tracer):
    """Stops at BatchNorms and layers, subclasses of torch's included."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, (_BatchNorm, _ConvNd, nn.Linear)) or super().is_leaf_module(m, module_qualified_name)


def _traced(module: nn.Module, prefix: str) -> tuple[list[NormSite], list[str]]:
    """Sites by traces of the module, or of the largest parts of it that have one; and the modules that have none."""
    if not any(isinstance(inner, _BatchNorm) for inner in module.modules()):
        return [], []
    if isinstance(module, _BatchNorm):  # on its own below a module that has no trace
        return [], []
    try:
        graph = _Tracer().trace(module)
    except Exception:  # data-dependent control flow, custom functions, anything that user code raises on a proxy
        sites, untraced = [], [prefix or type(module).__name__]
        for name, child in module.named_children():
            inner_sites, inner = _traced(child, f"{prefix}.{name}".lstrip("."))
            sites += inner_sites
            untraced += inner
        return sites, untraced
    return pair_in_graph(list(_ops(graph, module, prefix))), []


def _ops(graph: fx.Graph, root: nn.Module, prefix: str) -> Iterator[GraphOp]:
    modules = dict(root.named_modules(remove_duplicate=False))
    first_names: dict[int, str] = {}
    for name, module in modules.items():
        first_names.setdefault(id(module), f"{prefix}.{name}".strip("."))
    for node in graph.nodes:
        inputs = tuple(i.name for i in node.all_input_nodes)
        module = modules.get(str(node.target)) if node.op == "call_module" else None
        if module is None:
            yield GraphOp(node.name, inputs)
            continue
        name = first_names[id(module)]
        own = module.bn if folds_in_training(module) else None
        if isinstance(own, _BatchNorm):  # torch.ao trains the layer and its BatchNorm as one module
            yield GraphOp(f"{node.name}, layer", inputs, None, layer_tensors(name, module))
            yield GraphOp(node.name, (f"{node.name}, layer",), norm_tensors(f"{name}.bn".lstrip("."), own))
            continue
        norm = norm_tensors(name, module) if isinstance(module, _BatchNorm) else None
        yield GraphOp(node.name, inputs, norm, layer_tensors(name, module), isinstance(module, _PASSES))


def norm_tensors(name: str, module: _BatchNorm) -> NormTensors:
    """A BatchNorm module as tensors."""
    return NormTensors(
        name=name,
        channels=module.num_features,
        eps=module.eps,
        gamma=module.weight if module.affine else None,
        beta=module.bias if module.affine else None,
        mean=module.running_mean,
        variance=module.running_var,
        is_training=module.training,
    )


def layer_tensors(name: str, module: nn.Module) -> LayerTensors | None:
    """A convolution or linear module as tensors; None for anything else."""
    weight_name = f"{name}.weight".lstrip(".")
    if isinstance(module, nn.Linear):
        return LayerTensors(name, "linear", weight_name, module.weight)
    if not isinstance(module, _ConvNd):
        return None
    if isinstance(module, _ConvTransposeNd):
        return LayerTensors(name, "conv_transpose", weight_name, module.weight, module.groups, 1)
    is_depthwise = module.groups > 1 and module.weight.shape[1] == 1
    padding: Any = module.padding
    is_padded = padding != "valid" if isinstance(padding, str) else any(padding)
    return LayerTensors(
        name, "depthwise_conv" if is_depthwise else "conv", weight_name, module.weight, module.groups, 0, is_padded
    )


def _in_module_order(model: nn.Module) -> list[NormSite]:
    """Each BatchNorm with the nearest layer before it, else after it, that fits: of the same parent, or the parent.

    A layer goes to one BatchNorm only.
    """
    rows = [(name, module) for name, module in model.named_modules()]
    layers = {i: found for i, (name, module) in enumerate(rows) if (found := layer_tensors(name, module)) is not None}
    taken: set[int] = set()
    sites = []
    for i, (name, module) in enumerate(rows):
        if not isinstance(module, _BatchNorm):
            continue
        norm = norm_tensors(name, module)
        index, is_norm_first = _neighbour(i, name, norm.channels, layers, taken)
        if index is None:
            sites.append(NormSite(norm, reason=NO_NEIGHBOUR))
            continue
        taken.add(index)
        is_next = abs(index - i) == 1 and not is_norm_first
        pair = describe_pair(
            layers[index],
            is_norm_first=is_norm_first,
            paired_by="module order",
            certainty="likely" if is_next else "guess",
        )
        sites.append(NormSite(norm, layers[index], pair))
    return sites


def _neighbour(
    i: int, name: str, channels: int, layers: dict[int, LayerTensors], taken: set[int]
) -> tuple[int | None, bool]:
    parent = name.rpartition(".")[0]
    near = [k for k in layers if parent in (layers[k].name.rpartition(".")[0], layers[k].name) and k not in taken]
    before = [k for k in near if k < i and layers[k].output_channels == channels]
    if before:
        return max(before), False
    after = [k for k in near if k > i and layers[k].input_channels == channels]
    return (min(after), True) if after else (None, False)


@contextmanager
def _untouched(model: nn.Module) -> Iterator[None]:
    """Whatever eval mode and traced code store in the modules is taken back: a forward may keep what it saw."""
    saved = [(module, dict(module.__dict__), _contents(module)) for module in model.modules()]
    try:
        yield
    finally:
        for module, attributes, contents in saved:
            module.__dict__.clear()
            module.__dict__.update(attributes)
            for key, content in contents.items():
                _restore(module.__dict__[key], content)


def _contents(module: nn.Module) -> dict[str, Any]:
    """Copies of the lists, dictionaries and sets that are attributes of a module, its parameters among them."""
    return {key: value.copy() for key, value in module.__dict__.items() if isinstance(value, dict | list | set)}


def _restore(container: Any, content: Any) -> None:
    container.clear()
    if isinstance(content, list):
        container.extend(content)
    else:
        container.update(content)
