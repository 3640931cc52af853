"""How many integers of `--arithmetic ort` differ from those of onnxruntime, and what it costs in float passes.

The same for `tflite-ref`, `tflite` and `xnnpack`, and the kernels of LiteRT of these names, which take int16 too, and
for `fbgemm` and `qnnpack`, and torch's quantized kernels.

    python benchmarks/integers.py --data FOLDER                      every network and scheme
    python benchmarks/integers.py --data FOLDER resnet20 mobilenet   some of them
    python benchmarks/integers.py --data FOLDER --arithmetic float   the simulation in float32, for comparison
    python benchmarks/integers.py --data FOLDER --arithmetic xnnpack --samples 20

Each network is exported as QDQ ONNX, or as a LiteRT file, and run freely, from the same images, with every tensor of
integers as an output; for torch its graph is run kernel by kernel. On a processor without VNNI pairs of products
saturate in onnxruntime and fbgemm, and the simulation follows that (`pair_saturation`).
FOLDER holds the real weights and images that tests marked `real` use. Five more networks have random weights, scaled by
BatchNorms that saw the same images. One float pass is that of the eager module over
the same images; both are processor time of one thread.
"""

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from qdiag.batches import Batch, Datasets
from qdiag.cli.process import prepare_process
from qdiag.config import load_preset
from qdiag.core.graph import Layer
from qdiag.core.scheme import QuantScheme, RuntimeName
from qdiag.exporters.litert.number_types import as_affine, kind_of
from qdiag.exporters.litert.write import LiteFile, write_lite
from qdiag.exporters.onnx.write import QdqFile, write_qdq
from qdiag.loaders.data.sources import DataRequest, batches_from, open_datasets
from qdiag.loaders.images.preprocessing import preset
from qdiag.loaders.models.formats import load_subject
from qdiag.pipeline.begin import begin
from qdiag.runtimes.base import DeployedNetwork
from qdiag.runtimes.litert import LitertRuntime
from qdiag.runtimes.onnxruntime import OnnxruntimeNetwork
from qdiag.simulate.case import Case
from qdiag.simulate.passes.lanes import Lane
from qdiag.simulate.passes.observer import LayerObserver
from qdiag.simulate.passes.runner import LaneRunner
from qdiag.simulate.session import open_session
from qdiag.subject import Subject
from qdiag.zoo.mobilenet_v2 import mobilenet_v2
from qdiag.zoo.resnet import resnet18
from tests.networks.convolutional import UNet
from tests.networks.mobile import SqueezeExciteNet
from tests.networks.sequence import Attention, VisionTransformer
from tests.oracle.pytorch.engines import integers_of_torch
from tests.processor import as_here

_KERNELS = ("tflite-ref", "tflite", "xnnpack")
_ENGINES = ("fbgemm", "qnnpack")
Runs = Callable[[Batch], dict[str, Any]]
"""Gives the integers of the runtime for a batch, by layer."""


@dataclass(frozen=True)
class Network:
    """Weights, the function that builds the network, and its images."""

    weights: str
    arch: str
    data: str
    preprocessing: str
    samples: int
    batch_size: int
    overrides: dict[str, Any]


CIFAR = "cifar10_lossless200.npz"
NIN_STATISTICS = {"mean": (0.4914, 0.4822, 0.4465), "std": (0.2023, 0.1994, 0.2010)}
NETWORKS = {
    "resnet20": Network("resnet20_cifar10", "resnet20_cifar10", CIFAR, "imagenet-stats", 150, 50, {}),
    "resnet56": Network("resnet56_cifar10", "resnet56_cifar10", CIFAR, "imagenet-stats", 150, 50, {}),
    "nin": Network("nin_cifar10", "nin_cifar10", CIFAR, "imagenet-stats", 100, 50, NIN_STATISTICS),
    "vww": Network("mobilenet_v1_0.25_vww96", "mobilenet_v1_025_vww", "vww96_600.npz", "none", 200, 50, {}),
    "mobilenet": Network("mobilenet_v1_0.75_224", "mobilenet_v1_075", "imagenet_val_600", "tf", 100, 10, {"crop": 224}),
}


@dataclass(frozen=True)
class MadeNetwork:
    """A network of random weights, and how large its images are."""

    build: Callable[[], nn.Module]
    data: str
    size: int
    samples: int
    batch_size: int


MADE = {
    "mobilenet-v2": MadeNetwork(mobilenet_v2, "vww96_600.npz", 224, 8, 4),
    "resnet18": MadeNetwork(resnet18, "vww96_600.npz", 224, 8, 4),
    "se": MadeNetwork(lambda: SqueezeExciteNet(nn.Hardsigmoid), CIFAR, 32, 150, 50),
    "unet": MadeNetwork(lambda: UNet("bilinear"), CIFAR, 32, 150, 50),
    "vit": MadeNetwork(lambda: VisionTransformer(Attention), CIFAR, 16, 150, 50),
}


def schemes(arithmetic: RuntimeName) -> dict[str, QuantScheme]:
    """uint8 and int8 activations, weights per channel and per tensor; for LiteRT its three kinds of files."""
    if arithmetic in _KERNELS:
        return {name: load_preset(name) for name in ("int8", "tf-uint8", "int16x8")}
    int8 = load_preset("int8")
    signed = replace(int8.activations, signed=True)
    if arithmetic in _ENGINES:
        per_tensor = replace(int8, weights=replace(int8.weights, granularity="per_tensor"))
        found = {"int8": int8, "int8, weights per tensor": per_tensor}
        return {name: as_here(one) for name, one in {**found, "tf-uint8": load_preset("tf-uint8")}.items()}
    found = {
        "int8": int8,
        "int8, int8 activations": replace(int8, activations=signed),
        "int8, weights per tensor": replace(int8, weights=replace(int8.weights, granularity="per_tensor")),
        "tf-uint8": load_preset("tf-uint8"),
    }
    return {name: as_here(one) for name, one in found.items()}


class Integers(LayerObserver):
    """Of each layer with a quantizer, in the last batch."""

    def __init__(self, case: Case) -> None:
        self._case = case
        self.found: dict[str, Any] = {}

    def closed(self, layer: Layer, lanes: Any) -> None:
        quantizer: Any = self._case.plan.layers[layer.name].output
        if quantizer is not None:
            if self._case.scheme.arithmetic in _KERNELS:
                quantizer = as_affine(quantizer, layer.name, kind_of(self._case.plan))
            self.found[layer.name] = quantizer.quantize(lanes.tensors[0]).numpy()


def opened(folder: Path, network: Network, scheme: QuantScheme) -> Iterator[tuple[Case, nn.Module]]:
    with open_session() as session:
        arch = f"{folder / 'networks.py'}:{network.arch}"
        subject = load_subject(str(folder / f"{network.weights}.safetensors"), arch=arch)
        request = DataRequest(
            data=str(folder / network.data),
            preprocessing=preset(network.preprocessing).override(**network.overrides),
            samples=network.samples,
            calib_samples=50,
            batch_size=network.batch_size,
        )
        assert isinstance(subject.model, nn.Module)
        yield begin(session, subject, open_datasets(request), scheme).case, subject.model


def made(folder: Path, network: MadeNetwork, scheme: QuantScheme) -> Iterator[tuple[Case, nn.Module]]:
    with np.load(folder / network.data) as arrays:
        name = next(name for name in arrays.files if arrays[name].ndim == 4)
        pixels = torch.from_numpy(arrays[name][: network.samples + 50]).permute(0, 3, 1, 2).float() / 127.5 - 1.0
    images = F.interpolate(pixels, size=(network.size, network.size), mode="bilinear", antialias=True)
    torch.manual_seed(0)
    model = network.build().train()
    with torch.no_grad():
        for batch in images[:48].split(8):
            model(batch)
    datasets = Datasets(
        batches_from(images[:50], network.batch_size), batches_from(images[50:], network.batch_size), "drawn apart"
    )
    with open_session() as session:
        subject = Subject(model.eval(), "module", "random weights", type(model).__name__)
        yield begin(session, subject, datasets, scheme).case, model


def written(case: Case, batch: Batch) -> tuple[LiteFile | QdqFile, DeployedNetwork]:
    """The file, and the runtime that has it."""
    if case.scheme.arithmetic in _KERNELS:
        lite = write_lite(case.network, case.plan, batch)
        return lite, LitertRuntime(lite.content, kernels=case.scheme.arithmetic)  # type: ignore[arg-type]
    file = write_qdq(case.network, case.plan, batch)
    return file, OnnxruntimeNetwork(file.content)


def of_file(case: Case, example: Batch) -> Runs:
    """The integers of a file in its runtime."""
    file, network = written(case, example)
    names = {layer: name for layer, name in file.integers.items() if name in network.tensors}

    def run(batch: Batch) -> dict[str, Any]:
        inputs = case.network.program.flatten_inputs(batch.args, batch.kwargs)
        given = {k: v.numpy() for k, v in inputs.items()}
        by_sample = [{k: v[i : i + 1] for k, v in given.items()} for i in range(batch.sample_count)]
        feeds = by_sample if network.batch_size else [given]
        runs = [network.run(one, list(names.values())).integers for one in feeds]
        return {layer: np.concatenate([run[name] for run in runs]) for layer, name in names.items()}

    return run


def of_torch(case: Case, engine: str) -> Runs:
    """The integers of torch's kernels, at the zero points of the plan."""

    def run(batch: Batch) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for layer, integers in integers_of_torch(case, batch, engine).items():
            quantizer: Any = case.plan.layers[layer].output
            found[layer] = integers.numpy().astype(np.int32) - (128 if quantizer.quant_min < 0 else 0)
        return found

    return run


def compare(case: Case, model: nn.Module) -> str:
    observer, count, differing, most, places = Integers(case), 0, 0, 0, set[str]()
    runner = LaneRunner([Lane(case.network, case.plan)], [observer])
    plain = LaneRunner([Lane(case.network, case.plan)])
    runtime: Runs | None = None
    spent = [0.0, 0.0]
    for batch in case.measured:
        if runtime is None:
            arithmetic = case.scheme.arithmetic
            runtime = of_torch(case, arithmetic) if arithmetic in _ENGINES else of_file(case, batch)
        runner.run_batch(batch)
        with torch.no_grad():
            spent[0] += _seconds(lambda one=batch: model(*one.args))  # type: ignore[misc]
        spent[1] += _seconds(lambda one=batch: plain.run_batch(one))  # type: ignore[misc]
        for layer, integers in runtime(batch).items():
            steps = np.abs(integers.astype(np.int32) - observer.found[layer].astype(np.int32))
            count, wrong, most = count + steps.size, int((steps > 0).sum()), max(most, int(steps.max()))
            differing += wrong
            if wrong:
                places.add(layer)
    where = f", at most {most} steps, in {', '.join(sorted(places))}" if differing and len(places) < 4 else ""
    where = where or (f", at most {most} steps, in {len(places)} sites" if differing else "")
    return f"{differing:9,} of {count:12,} integers differ{where}; {spent[1] / spent[0]:.2f} float passes"


def _seconds(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", choices=[*NETWORKS, *MADE, []])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--arithmetic", choices=["float", "ort", *_KERNELS, *_ENGINES], default="ort")
    parser.add_argument("--samples", type=int, help="at most so many of each network")
    options = parser.parse_args()
    arithmetic: RuntimeName = options.arithmetic
    prepare_process()
    torch.set_num_threads(1)
    for name in options.names or (*NETWORKS, *MADE):
        for words, preset_scheme in schemes(arithmetic).items():
            scheme = replace(preset_scheme, arithmetic=arithmetic)
            chosen: Any = NETWORKS.get(name) or MADE[name]
            chosen = replace(chosen, samples=min(chosen.samples, options.samples or chosen.samples))
            for case, model in (opened if name in NETWORKS else made)(options.data, chosen, scheme):
                print(f"{name:12} {words:26} {compare(case, model)}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
