"""Every reader of qdiag: good files for it, written by the libraries that own the formats, and how one is read."""

import contextlib
import io
import json
import pickle
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from PIL import Image
from torch import nn

ARCH = "tools.fuzzing.readers:small_net"


class SmallNet(nn.Module):
    """Convolution, BatchNorm, a branch and a loop: what scripted networks hold."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.features(x)
        for _ in range(2):
            if y.dim() == 4:
                y = y * 0.5
        return self.head(y.mean((2, 3)))


def small_net() -> nn.Module:
    """With the same weights every time."""
    torch.manual_seed(0)
    return SmallNet().eval()


@dataclass(frozen=True)
class Reader:
    """seeds: good files, made once. read: what may raise `QdiagError` and nothing else. place: below the folder.

    needs: libraries beside torch, numpy, safetensors and Pillow that have to be installed.
    """

    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    place: str
    is_text: bool = False
    needs: tuple[str, ...] = ()


def _bytes_of(write: Callable[[io.BytesIO], object]) -> bytes:
    stream = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write(stream)
    return stream.getvalue()


def _model(path: Path) -> None:
    from qdiag.loaders.models.formats import load_subject
    from qdiag.loaders.models.tensors import load_subject_or_tensors

    dict(load_subject(path).model.named_parameters())
    load_subject_or_tensors(path)


def _state(path: Path) -> None:
    """Weights: for a network, and by themselves, as `qdiag bn` reads them."""
    from qdiag.errors import LoadError
    from qdiag.loaders.models.formats import load_subject
    from qdiag.loaders.models.tensors import load_subject_or_tensors

    with contextlib.suppress(LoadError):  # most often because no architecture is named
        load_subject(path)
    dict(load_subject(path, arch=ARCH).model.named_parameters())
    load_subject_or_tensors(path)


def _programs() -> list[bytes]:
    x = torch.zeros(2, 3, 8, 8)
    fixed = torch.export.export(small_net(), (x,), strict=False)
    batch = torch.export.Dim("batch", min=1, max=64)
    free = torch.export.export(small_net(), (x,), dynamic_shapes=({0: batch},), strict=False)
    return [_bytes_of(lambda stream, made=made: torch.export.save(made, stream)) for made in (fixed, free)]


def _scripts() -> list[bytes]:
    x = torch.zeros(2, 3, 8, 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = (torch.jit.script(small_net()), torch.jit.trace(small_net(), x))
    return [_bytes_of(lambda stream, one=one: torch.jit.save(one, stream)) for one in made]


def _checkpoints() -> list[bytes]:
    state = small_net().state_dict()
    contents = (state, {"epoch": 3, "state_dict": state, "args": {"lr": 0.1}}, {"params_ema": state})
    zipped = [_bytes_of(lambda stream, content=content: torch.save(content, stream)) for content in contents]
    legacy = _bytes_of(lambda stream: torch.save(state, stream, _use_new_zipfile_serialization=False))
    return [*zipped, legacy, pickle.dumps(state)]


def _networks() -> list[bytes]:
    """ONNX: a small CNN, and a branch with a recurrent layer and spelled-out shapes."""
    from onnx import TensorProto, helper, numpy_helper

    def random(*shape: int) -> np.ndarray:
        return np.random.default_rng(0).standard_normal(shape).astype(np.float32)

    def made(nodes: list, shape: list, tensors: dict[str, np.ndarray], opset: int) -> bytes:
        values = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
        kept = [numpy_helper.from_array(array, name) for name, array in tensors.items()]
        graph = helper.make_graph(nodes, "g", values, [helper.make_empty_tensor_value_info("y")], kept)
        return helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8
        ).SerializeToString()

    node = helper.make_node
    cnn = [
        node("Conv", ["x", "w", "b"], ["c"], "conv", pads=[1, 1, 1, 1], strides=[2, 2]),
        node("BatchNormalization", ["c", "b", "b", "b", "v"], ["n"], "bn"),
        node("Clip", ["n"], ["r"], "clip", min=0.0, max=6.0),
        node("GlobalAveragePool", ["r"], ["p"], "pool"),
        node("Flatten", ["p"], ["f"], "flatten"),
        node("Gemm", ["f", "m"], ["y"], "head", transB=1),
    ]
    numbers = {"w": random(4, 3, 3, 3), "b": random(4), "v": np.ones(4, np.float32), "m": random(5, 4)}
    shapes = [
        node("Shape", ["x"], ["s"], "shape"),
        node("Gather", ["s", "zero"], ["n"], "first"),
        node("Unsqueeze", ["n", "axes"], ["u"], "axes"),
        node("Concat", ["u", "rest"], ["to"], "to", axis=0),
        node("Reshape", ["x", "to"], ["r"], "reshape"),
        node("Sigmoid", ["r"], ["g"], "gate"),
        node("Mul", ["r", "g"], ["k"], "silu"),
        node("MatMul", ["k", "mm"], ["y"], "product"),
    ]
    sizes = {"zero": np.asarray(0), "axes": np.asarray([0]), "rest": np.asarray([3, 8]), "mm": random(8, 2)}
    return [made(cnn, ["N", 3, 8, 8], numbers, 9), made(shapes, ["N", 3, 2, 4], sizes, 13)]


def _network(path: Path) -> None:
    """Read, run on inputs of its own shape, and recorded."""
    from qdiag.errors import QdiagError
    from qdiag.loaders.models.formats import load_subject
    from qdiag.onnx.network import OnnxNetwork

    model = load_subject(path).model
    assert isinstance(model, OnnxNetwork)
    with contextlib.suppress(QdiagError):
        model.for_its_own_shape()
        with torch.no_grad():
            model(**model.zeros(8))


def _quantized_networks() -> list[bytes]:
    """ONNX files of integers: Q and DQ as several tools write them, and operators on integers."""
    from tests.networks.quantized_forms import packed_form, read_forms

    return [*read_forms().values(), packed_form()]


def _lite_networks() -> list[bytes]:
    from qdiag.litert.serialize import serialized
    from tests.networks.litert_files import lite_bytes, op, small_cnn, small_integer_cnn

    shapes = lite_bytes(
        [
            op("TRANSPOSE", "x order", "t"),
            op("RESHAPE", "t shape", "r"),
            op("SPLIT", "axis r", "a b", numSplits=2),
            op("BATCH_MATMUL", "a b", "m", adjY=True),
            op("SOFTMAX", "m", "y", beta=1.0),
        ],
        {
            "x": (1, 4, 6, 2),
            "order": np.asarray([0, 2, 1, 3], np.int32),
            "t": (1, 6, 4, 2),
            "shape": np.asarray([1, 6, 8], np.int32),
            "r": (1, 6, 8),
            "axis": np.asarray(2, np.int32),
            "a": (1, 6, 4),
            "b": (1, 6, 4),
            "m": (1, 6, 6),
            "y": (1, 6, 6),
        },
    )
    return [serialized(small_cnn()), shapes, serialized(small_integer_cnn()), serialized(small_integer_cnn(1))]


def _lite_network(path: Path) -> None:
    """Read, run, and looked through for what would be written back."""
    from qdiag.errors import QdiagError
    from qdiag.litert.edited.write import with_changes
    from qdiag.litert.load import load_network
    from qdiag.litert.rewrite import laid_out

    _network(path)
    content = path.read_bytes()
    with contextlib.suppress(QdiagError):
        source = load_network(content, str(path)).source
        laid_out(source)
        with_changes(content, source, [], str(path))


def _weights() -> list[bytes]:
    return [safetensors.torch.save(dict(small_net().state_dict()), {"format": "pt"})]


def _data(path: Path, class_count: int | None = 5) -> None:
    from qdiag.loaders.data.sources import DataRequest, open_datasets

    datasets = open_datasets(DataRequest(str(path), input_shape=(1, 3, 8, 8), class_count=class_count))
    for part in (datasets.calibration, datasets.evaluation):
        part.digest()
        for _ in part:
            pass


def _arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    images = rng.standard_normal((4, 3, 8, 8)).astype(np.float32)
    return {"images": images, "labels": np.arange(4) % 5}


def _npz() -> list[bytes]:
    pixels = np.zeros((4, 3, 8, 8), np.uint8)
    return [
        _bytes_of(lambda stream: np.savez(stream, **_arrays())),
        _bytes_of(lambda stream: np.savez_compressed(stream, images=pixels)),
        _bytes_of(lambda stream: np.savez(stream, images=pixels, **_boxes())),
        _bytes_of(lambda stream: np.savez(stream, images=pixels, labels=np.array(["one", "two", "", "three"]))),
    ]


def _boxes() -> dict[str, np.ndarray]:
    boxes = np.array([[0, 0, 4, 4], [1, 2, 3, 8], [0, 0, 8, 8]], dtype=np.float32)
    return {"y.counts": np.array([1, 0, 2, 0]), "y.boxes": boxes, "y.labels": np.arange(3)}


def _npy() -> list[bytes]:
    return [_bytes_of(lambda stream: np.save(stream, _arrays()["images"]))]


def _torch_data() -> list[bytes]:
    tensors = {name: torch.from_numpy(value) for name, value in _arrays().items()}
    entry = {"boxes": torch.tensor([[0.0, 0.0, 4.0, 4.0]]), "labels": torch.tensor([3])}
    pair = (tensors["images"], [entry, entry, {"boxes": torch.zeros(0, 4), "labels": torch.zeros(0)}, entry])
    return [
        _bytes_of(lambda stream: torch.save(pair, stream)),
        _bytes_of(lambda stream: torch.save({"x": tensors["images"], "y": ("a", "b", "c", "d")}, stream)),
        _bytes_of(lambda stream: torch.save(tensors, stream)),
        _bytes_of(lambda stream: torch.save(tensors["images"], stream, _use_new_zipfile_serialization=False)),
    ]


def _safetensors_data() -> list[bytes]:
    return [safetensors.torch.save({name: torch.from_numpy(value) for name, value in _arrays().items()})]


def _images() -> list[bytes]:
    pixels = np.random.default_rng(0).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    found = []
    for mode in ("RGB", "P", "L"):
        image = Image.fromarray(pixels).convert(mode)
        for kind in ("PNG", "JPEG", "BMP", "GIF", "TIFF", "WEBP", "PPM"):
            if mode == "P" and kind in ("JPEG", "PPM"):
                continue
            found.append(_bytes_of(lambda stream, image=image, kind=kind: image.save(stream, kind)))
    return found


def _image(path: Path) -> None:
    _data(path.parent)


def _tables() -> list[bytes]:
    return [
        b"file,label,split\na.png,0,calib\nb.png,1,eval\n",
        b"file,label\na.png,1\nb.png,0\n",
        b"file,target_x,target_y\na.png,1.5,2\nb.png,-1e3,0\n",
        b"file,text\na.png,one\nb.png,two\n",
    ]


def _labels(path: Path) -> None:
    for name in ("a.png", "b.png"):
        if not (path.parent / name).exists():
            Image.new("RGB", (8, 8)).save(path.parent / name)
    _data(path.parent, class_count=None)  # targets may be other than classes


def _masks() -> list[bytes]:
    mask = Image.fromarray(np.random.default_rng(0).integers(0, 5, (8, 8), dtype=np.uint8))
    deep = Image.fromarray(np.full((8, 8), 300, dtype=np.uint16))
    images = [mask, mask.convert("P"), mask.convert("1"), mask.convert("RGB"), deep]
    return [_bytes_of(lambda stream, image=image: image.save(stream, "PNG")) for image in images]


def _mask(path: Path) -> None:
    folder = path.parent.parent
    if not (folder / "a.png").exists():
        Image.new("RGB", (8, 8)).save(folder / "a.png")
    _data(folder)


def _box_files() -> list[bytes]:
    coco = {
        "images": [{"id": 1, "file_name": "a.png"}, {"id": 2, "file_name": "b.png"}],
        "annotations": [{"image_id": 1, "bbox": [0, 0, 4, 4.5], "category_id": 3, "iscrowd": 0}],
    }
    simple = {"a.png": [{"box": [0, 0, 4, 4.5], "label": 3}], "b.png": []}
    return [json.dumps(content).encode() for content in (coco, simple)]


def _scheme(path: Path) -> None:
    from qdiag.config import load_scheme

    load_scheme(str(path))


def _gate_file(path: Path) -> None:
    from qdiag.config.gate_file import gate_settings

    gate_settings({}, config=path, environment={}, folder=path.parent)


def _gate_files() -> list[bytes]:
    return [
        b'[gate]\nmax_drop = 1.5\nmin-sqnr = 20\nstrict = true\nbaseline = "base.json"\nforbid = ["QD301"]\n',
        b'[gate]\nmax_flips = { fail = 5, warn = 2.5 }\n[gate.allow]\n"features.*" = 10\nhead = -inf\n',
        b'[gate]\ntolerance = "0.5"\ntolerance_db = 1\nno_new_causes = "warn"\nwarn_code = "QD101,QD102"\n',
    ]


def _project_files() -> list[bytes]:
    tools = b'[project]\nname = "x"\n[tool.other]\na = [1, {b = 2}]\n'
    return [tools + one.replace(b"[gate", b"[tool.qdiag.gate") for one in _gate_files()]


def _presets() -> list[bytes]:
    from qdiag.config.presets import preset_names, preset_path

    return [preset_path(name).read_bytes() for name in preset_names()] + [
        b'base = "int8"\n[weights]\nbits = 4\n[layers."features.*".weights]\nbits = 3\n'
    ]


def _diagnoses() -> list[bytes]:
    from qdiag.writers.json.diagnosis import diagnosis_to_json
    from tests.diagnoses import diagnosis, healthy_diagnosis, unlabelled_diagnosis

    found = (diagnosis(), healthy_diagnosis(), unlabelled_diagnosis())
    return [diagnosis_to_json(one).encode() for one in found]


def _result(path: Path) -> None:
    """Read, judged and told, as `qdiag gate` and `qdiag report` do."""
    from qdiag.cli.app import make_app
    from qdiag.writers.json.diagnosis import read_diagnosis

    with contextlib.suppress(SystemExit):
        make_app(["gate"])(["gate", str(path), "--max-drop", "5"], prog_name="qdiag")
    read_diagnosis(path)


def _baselines() -> list[bytes]:
    from qdiag.gate.baseline import make_baseline
    from qdiag.gate.evidence import GateEvidence
    from qdiag.writers.json.baseline import baseline_to_json
    from tests.diagnoses import diagnosis, healthy_diagnosis

    found = (diagnosis(), healthy_diagnosis())
    return [
        baseline_to_json(make_baseline(GateEvidence("x", one.measurement, one.ranking, {}))).encode() for one in found
    ]


def _baseline(path: Path) -> None:
    from qdiag.writers.json.baseline import read_baseline

    read_baseline(path)


_SETTINGS = ("pydantic",)
_TERMINAL = (*_SETTINGS, "rich", "typer")

READERS: dict[str, Reader] = {
    "pt2": Reader(_programs, _model, "model.pt2"),
    "torchscript": Reader(_scripts, _model, "model.ts"),
    "checkpoint": Reader(_checkpoints, _state, "model.pt"),
    "safetensors": Reader(_weights, _state, "model.safetensors"),
    "onnx": Reader(_networks, _network, "model.onnx", needs=("onnx", "onnx_ir")),
    "quantized onnx": Reader(_quantized_networks, _network, "model.onnx", needs=("onnx", "onnx_ir")),
    "litert": Reader(_lite_networks, _lite_network, "model.tflite", needs=("ai_edge_litert", "flatbuffers")),
    "npz": Reader(_npz, _data, "data.npz"),
    "npy": Reader(_npy, _data, "data.npy"),
    "torch data": Reader(_torch_data, _data, "data.pt"),
    "safetensors data": Reader(_safetensors_data, _data, "data.safetensors"),
    "image": Reader(_images, _image, "images/a.png"),
    "labels.csv": Reader(_tables, _labels, "images/labels.csv", is_text=True),
    "mask": Reader(_masks, _mask, "images/masks/a.png"),
    "boxes.json": Reader(_box_files, _labels, "images/boxes.json", is_text=True),
    "scheme": Reader(_presets, _scheme, "scheme.toml", is_text=True, needs=_SETTINGS),
    "gate file": Reader(_gate_files, _gate_file, "gate.toml", is_text=True, needs=_SETTINGS),
    "gate in a project": Reader(_project_files, _gate_file, "pyproject.toml", is_text=True, needs=_SETTINGS),
    "result": Reader(_diagnoses, _result, "diagnosis.json", is_text=True, needs=_TERMINAL),
    "baseline": Reader(_baselines, _baseline, "baseline.json", is_text=True, needs=_SETTINGS),
}
