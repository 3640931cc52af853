"""Files of every format that the command line reads, each broken in the ways in which files break."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save as safetensors

from tests.diagnoses import healthy_diagnosis
from tests.networks.litert_files import small_cnn
from tests.networks.onnx_files import small_cnn as onnx_cnn
from tests.unit.loaders.model_files import small_net, write_exported, write_scripted

MODEL = "tests.unit.loaders.model_files:small_net"
IMAGES = np.random.default_rng(0).standard_normal((4, 3, 8, 8)).astype(np.float32)


def broken_models(folder: Path) -> Iterator[Path]:
    """Model files: empty, cut short, other content, folders."""
    from qdiag.litert.serialize import serialized

    write_exported(small_net(), folder / "whole.pt2")
    write_scripted(small_net(), folder / "whole.ts")
    torch.save(small_net().state_dict(), folder / "whole.pt")
    (folder / "whole.safetensors").write_bytes(safetensors(small_net().state_dict()))
    (folder / "whole.tflite").write_bytes(serialized(small_cnn()))
    (folder / "whole.onnx").write_bytes(onnx_cnn())
    for whole in sorted(folder.glob("whole.*")):
        content = whole.read_bytes()
        yield from _damaged(folder, whole.suffix, content)


def broken_arrays(folder: Path) -> Iterator[Path]:
    """Data in files of arrays, and what their arrays may hold that no network takes."""
    numpy_file = io.BytesIO()
    np.save(numpy_file, IMAGES)
    torch_file = io.BytesIO()
    torch.save({"images": torch.from_numpy(IMAGES)}, torch_file)
    yield from _damaged(folder, ".npy", numpy_file.getvalue())
    yield from _damaged(folder, ".pt", torch_file.getvalue())
    yield from _damaged(folder, ".safetensors", safetensors({"images": torch.from_numpy(IMAGES)}))
    yield from _damaged(folder, ".wav", b"RIFF" + bytes(400))
    arrays: dict[str, dict[str, object]] = {
        "shape": {"images": IMAGES[:, :1]},
        "last_channels": {"images": IMAGES.transpose(0, 2, 3, 1)},
        "flat": {"images": IMAGES.reshape(4, -1)},
        "integers": {"images": IMAGES.astype(np.int64)},
        "complex": {"images": IMAGES.astype(np.complex64)},
        "objects": {"images": np.array([{}, None], dtype=object)},
        "texts": {"images": np.array(["a", "b"])},
        "dates": {"images": np.zeros(4, "datetime64[s]")},
        "nan": {"images": IMAGES * np.nan},
        "infinite": {"images": np.where(IMAGES > 0.0, np.inf, IMAGES)},
        "no_samples": {"images": IMAGES[:0]},
        "scalar": {"images": np.float32(3.0)},
        "nothing": {},
        "labels_alone": {"labels": np.arange(4)},
        "few_labels": {"images": IMAGES, "labels": np.arange(3)},
        "text_labels": {"images": IMAGES, "labels": np.array(list("abcd"))},
        "large_labels": {"images": IMAGES, "labels": np.arange(4) + 100},
    }
    for name, values in arrays.items():
        np.savez(folder / f"{name}.npz", **values)  # type: ignore[arg-type]
        yield folder / f"{name}.npz"
    yield from _damaged(folder, ".npz", (folder / "few_labels.npz").read_bytes())


def broken_folders(folder: Path) -> Iterator[Path]:
    """Folders of images: none, damaged ones, of different sizes, and lists that do not fit them."""
    png = io.BytesIO()
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(png, "PNG")
    image = png.getvalue()
    for name, content in {"none": None, "empty": b"", "cut": image[:40], "text": b"hello"}.items():
        (folder / name).mkdir()
        if content is not None:
            (folder / name / "a.png").write_bytes(content)
        yield folder / name
    lists = {
        "no_column": b"a.png,1\n",
        "no_lines": b"",
        "head_alone": b"file,label\n",
        "missing": b"file,label\nzz.png,1\n",
        "word": b"file,label\na.png,cat\n",
        "no_label": b"file,label\na.png\n",
        "latin": b"file,label\n\xe4.png,1\n",
        "outside": b"file,label\n../a.png,1\n",
        "negative": b"file,label\na.png,-1\n",
        "large": b"file,label\na.png,99999999999999999999\n",
        "twice": b"file,label\na.png,1\na.png,2\n",
        "nul": b"file,label\n\0.png,1\n",
    }
    for name, content in lists.items():
        (folder / name).mkdir()
        (folder / name / "a.png").write_bytes(image)
        (folder / name / "labels.csv").write_bytes(content)
        yield folder / name
    (folder / "sound").mkdir()
    (folder / "sound" / "a.wav").write_bytes(b"RIFF")
    yield folder / "sound"


def broken_settings(folder: Path) -> Iterator[Path]:
    """TOML files: no TOML, other keys, values of other types; each is wrong for schemes and for gates alike."""
    for name, content in {
        "text": b"hello",
        "binary": bytes(range(256)),
        "latin": b"name = '\xe4'\n",
        "key": b"nope = 3\n",
        "twice": b"bias = 'float'\nbias = 'float'\n",
        "list": b"[[weights]]\nbits = 8\n[[gate]]\n",
        "value": b"[weights]\nbits = 'x'\n[gate]\nmax_drop = 'x'\n",
    }.items():
        (folder / f"{name}.toml").write_bytes(content)
        yield folder / f"{name}.toml"
    yield from _nowhere(folder, ".toml")


def broken_schemes(folder: Path) -> Iterator[Path]:
    """Schemes that are TOML, each with one value that is wrong by itself or beside another one."""
    low = "[weights]\ngranularity = 'per_tensor'\n"
    step = "type = 'linear'\nstep = 0.5\nrange = [-1.0, 1.0]\n"
    for i, content in enumerate(
        [
            *(f"[weights]\nbits = {value}\n" for value in ("99", "1", "-1", "8.5", "true", "'8'", "nan", "[8]")),
            *(f"[weights]\ncalibrator = {value}\n" for value in ("'moving_average'", "'entropy'", "'minmx'", "3")),
            *(f"[weights]\ngranularity = {value}\n" for value in ("'per_group'", "'per_chanel'", "false")),
            *(f"[weights]\ntype = {value}\n" for value in ("'flaot'", "'linear'", "'binary'", "'afine'", "8")),
            *(f"[weights]\nrange = {value}\n" for value in ("[1.0, -1.0]", "[1.0]", "[1.0, inf]", "[1.0, 2.0, 3.0]")),
            *(f"[activations]\n{line}\n" for line in ("granularity = 'per_channel'", "type = 'ternary'", "bits = 0")),
            *(
                f"{line}\n"
                for line in ("accumulator_bits = 3", "bias = 'int7'", "arithmetic = 'ortt'", "float_layers = 3")
            ),
            *(f"{low}{line}\n" for line in ("center = true", "stochastic_seed = 1", "step = 0.5", "group_size = 0")),
            *(f"{low}{line}\n" for line in ("percentile = 3", "averaging_constant = 2.0", "element = 'e4m3'")),
            *(
                f"{low}{step}{line}\n"
                for line in ("bits = 2", "calibrator = 'mse'", "granularity = 8", "group_size = 4")
            ),
            *(f"{low}type = 'ternary'\nbits = 2\n{line}\n" for line in ("calibrator = 'mse'", "scale = 'e8m0'")),
            "[layers.head]\nbits = 4\n",
            "[layers.head.weights]\nbits = 99\n",
            "[layers]\nhead = 4\n",
            "base = 'itn8'\n",
            "base = 8\n",
            "base = 'other.toml'\n",
            "name = 3\n",
        ]
    ):
        (folder / f"scheme{i}.toml").write_text(content, encoding="utf-8")
        yield folder / f"scheme{i}.toml"


def broken_gates(folder: Path) -> Iterator[Path]:
    """Limits that are TOML, each with one value that is wrong."""
    for i, line in enumerate(
        [
            *(f"max_drop = {value}" for value in ("'x'", "true", "nan", "[1]", "'1 %%'")),
            *("max_dorp = 1", "max_drop.wran = 1", "forbid.warn = 1", "tolerance = -1", "min_accuracy = 0.9"),
            *("forbid = 3", "forbid = ['QD999']", "forbid = 'QD31'", "baseline = 3", "allow = 3", "allow.head = 'x'"),
            *("allow.'*' = -inf", "min_sqnr = '3 %'", "fail_on_undecided = 'maybe'", "max_size = 'x'"),
        ]
    ):
        (folder / f"gate{i}.toml").write_text(f"[gate]\n{line}\n", encoding="utf-8")
        yield folder / f"gate{i}.toml"


def broken_results(folder: Path) -> Iterator[Path]:
    """Stored diagnoses: no JSON, other JSON, values that are missing or of other types."""
    from qdiag.writers.json.diagnosis import diagnosis_to_json

    text = diagnosis_to_json(healthy_diagnosis())
    plain = json.loads(text)
    whole = {
        "list": "[]",
        "object": "{}",
        "null": "null",
        "deep": "[" * 5000,
        "mark": f"\ufeff{text}",
        "number": text.replace('"bits": 8', '"bits": "x"', 1),
        "version": json.dumps({**plain, "schema_version": 10**6}),
        "without": json.dumps({key: value for key, value in plain.items() if key != "ranking"}),
        "other": json.dumps({**plain, "measurement": 3}),
    }
    for name, content in whole.items():
        (folder / f"{name}.json").write_text(content, encoding="utf-8")
        yield folder / f"{name}.json"
    yield from _damaged(folder, ".json", text.encode())


def _damaged(folder: Path, suffix: str, content: bytes) -> Iterator[Path]:
    """Empty, cut in half, cut after a few bytes, text and noise of that name, and nothing at all."""
    noise = np.random.default_rng(1).bytes(400)
    half, few = content[: len(content) // 2], content[:50]
    for name, data in {"empty": b"", "half": half, "few": few, "text": b"hello\n" * 40, "noise": noise}.items():
        path = folder / f"{name}_{len(content)}{suffix}"
        path.write_bytes(data)
        yield path
    yield from _nowhere(folder, suffix)


def _nowhere(folder: Path, suffix: str) -> Iterator[Path]:
    """A folder where a file is expected, a file that does not exist, and one below a file."""
    (folder / f"folder{suffix}").mkdir(exist_ok=True)
    (folder / "file").write_bytes(b"x")
    yield folder / f"folder{suffix}"
    yield folder / f"absent{suffix}"
    yield folder / "file" / f"below{suffix}"
    yield folder / f"{'long' * 100}{suffix}"
