"""`dcz shrink` writes the smallest file that keeps a model's outputs; whatever is wrong, it writes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.cli import shrink, streams
from dcz.lossy.compression import Compressed
from dcz.planning.shrinking import Shrunk, Tried

RNG = np.random.default_rng(0)
GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network of two layers, and samples of its input."""
    onnx = pytest.importorskip("onnx", reason="needs onnx")
    pytest.importorskip("onnxruntime", reason="needs onnxruntime")
    from onnx import TensorProto, helper, numpy_helper

    monkeypatch.chdir(tmp_path)
    weights = {
        "first": RNG.standard_normal((64, 64)).astype(np.float32),
        "bias": RNG.standard_normal(64).astype(np.float32),
        "second": RNG.standard_normal((64, 40)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Gemm", ["x", "first", "bias"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("MatMul", ["b", "second"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", 40])
    graph = helper.make_graph(nodes, "g", [x], [y], [numpy_helper.from_array(w, name) for name, w in weights.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(model, "model.onnx")
    Path("text.onnx").write_text("no model")
    samples = RNG.standard_normal((24, 64)).astype(np.float32)
    np.savez("samples.npz", x=samples)
    np.savez("batches.npz", x=samples.reshape(6, 4, 64))
    np.savez("few.npz", x=samples[:2])
    np.savez("named.npz", z=samples)
    np.savez("nothing.npz")
    np.savez("double.npz", x=samples.astype(np.float64))
    np.savez("narrow.npz", x=samples[:, :8])
    np.savez("flat.npz", x=samples[0])
    np.savez("scalar.npz", x=np.float32(1))
    np.savez("nan.npz", x=np.full((24, 64), np.nan, np.float32))
    np.savez("huge.npz", x=samples * np.float32(1e30))
    np.savez("objects.npz", x=np.array([None]))
    np.save("array.npy", samples)
    return tmp_path


def test_it_writes_what_it_says(folder: Path, dcz_: Callable) -> None:
    arguments = ("--data", "samples.npz", "--keep", "0.98", "--recipe", "r.toml")
    run = dcz_("shrink", "model.onnx", "small.dcz", *arguments)
    assert (run.code, run.err) == (0, "")
    assert "of 24 samples: 12 to measure the inputs of layers, 6 to search on, 6 held out to verify" in run.out
    nbytes = Path("small.dcz").stat().st_size
    assert f"small.dcz: 26.9 kB of weights in {shrink.size(nbytes)} ({nbytes} bytes), " in run.out
    with dcz.open("small.dcz") as reader:
        assert set(reader) == {"first", "bias", "second"} and reader.metadata["dcz.shrink"]["kept"] >= 0.98
    assert set(dcz.lossy.Recipe.load("r.toml").overrides) == {"first", "bias", "second"}


def test_its_recipe_and_its_moments_make_the_same_again(folder: Path, dcz_: Callable) -> None:
    written = ("--recipe", "r.toml", "--save-calibration", "moments.dcz")
    run = dcz_("shrink", "model.onnx", "small.dcz", "--data", "samples.npz", "--keep", "0.98", *written)
    again = "dcz pack model.onnx model.dcz --recipe r.toml --calibration moments.dcz"
    assert run.code == 0 and again in " ".join(run.out.split())
    assert dcz_(*again.split()[1:]).code == 0
    small, packed = dcz.load_file("small.dcz"), dcz.load_file("model.dcz")
    for name, array in packed.items():
        np.testing.assert_allclose(array, small[name], rtol=1e-4, atol=1e-5 * np.abs(array).max())
    refused = dcz_("pack", "model.onnx", "other.dcz", "--recipe", "r.toml")
    assert refused.code == 1 and "calibration" in refused.err
    assert dcz_("shrink", "model.onnx", "n.dcz", "--data", "samples.npz", "--save-calibration", "c.npz").code == 2


def test_the_graph_beside_it(folder: Path, dcz_: Callable) -> None:
    run = dcz_("shrink", "model.onnx", "small.onnx", "--data", "batches.npz", "--keep", "0.9")
    assert run.out.rstrip().endswith(f"small.onnx: its graph, {shrink.size(Path('small.onnx').stat().st_size)}")
    run = dcz_("shrink", "model.onnx", "small.onnx", "--data", "batches.npz", "--keep", "0.9", "--json", "--force")
    document = json.loads(run.out)
    assert run.code == 0 and document["kept"] >= 0.9 and len(document["curve"]) > 4
    import onnxruntime

    import dcz.onnx

    x = RNG.standard_normal((50, 64)).astype(np.float32)
    whole = onnxruntime.InferenceSession("model.onnx").run(None, {"x": x})[0]
    model = dcz.onnx.load_model("small.onnx").SerializeToString()
    small = onnxruntime.InferenceSession(model).run(None, {"x": x})[0]
    assert (whole * small).sum() / np.linalg.norm(whole) / np.linalg.norm(small) > 0.85


@pytest.mark.parametrize(
    "model, data, options, code, message",
    [
        ("model.onnx", "samples.npz", ["--keep", "0.99999999"], 1, "keep: 1 of cosine is out of reach: the finest of"),
        ("model.onnx", "samples.npz", ["--keep", "2"], 2, "--keep: expected a number in (0, 1], found 2.0"),
        ("model.onnx", "samples.npz", ["--metric", "loss"], 2, "--metric: 'loss' is unknown; expected one of cosine, "),
        ("model.onnx", "samples.npz", ["--held-out", "0.5"], 2, "--held-out: expected a number in (0, 0.333333]"),
        ("model.onnx", "samples.npz", ["--recipe", "r.txt"], 2, "r.txt: a recipe is a .toml or .json file"),
        ("model.onnx", "samples.npz", ["--plot", "c.txt"], 2, "c.txt: a plot is a .png, .svg, .pdf file"),
        ("model.onnx", "samples.npz", ["--names", "third"], 1, "names: 'third' matches none of the 3 tensors"),
        ("model.onnx", "few.npz", [], 1, "dcz: few.npz: samples: found 2; at least 3 are needed"),
        ("model.onnx", "named.npz", [], 1, "named.npz: the model has no input 'z'; its inputs are x"),
        ("model.onnx", "nothing.npz", [], 1, "nothing.npz: has no array 'x', an input of the model; it has no arrays"),
        (
            "model.onnx",
            "double.npz",
            [],
            1,
            "dcz: double.npz: sample 0: input 'x' is float64, the model expects float32",
        ),
        (
            "model.onnx",
            "narrow.npz",
            [],
            1,
            "dcz: narrow.npz: sample 0: input 'x' has shape (1, 8), the model expects (any, 64)",
        ),
        ("model.onnx", "flat.npz", [], 1, "flat.npz: array 'x' has 1 dimension; samples of an input of 2 have 2 or 3"),
        ("model.onnx", "scalar.npz", [], 1, "scalar.npz: has scalars alone; the first dimension of an array counts "),
        ("model.onnx", "nan.npz", [], 1, "dcz: nan.npz: sample 0: input 'x' has NaN or infinity"),
        ("model.onnx", "huge.npz", [], 1, "model.onnx: layer of 'first': the squares of its inputs are beyond float32"),
        ("model.onnx", "objects.npz", [], 1, "objects.npz: has an array that cannot be read (Object arrays cannot be"),
        (
            "model.onnx",
            "array.npy",
            [],
            1,
            "array.npy: is not an .npz file; numpy.savez writes one, with an array for ",
        ),
        ("model.onnx", "missing.npz", [], 1, "missing.npz: No such file or directory"),
        ("text.onnx", "samples.npz", [], 1, "text.onnx: not an ONNX model, or one that is cut off"),
        ("samples.npz", "samples.npz", [], 2, "samples.npz: is not an .onnx file; for PyTorch there is dcz.torch."),
    ],
)
def test_what_is_wrong_is_said_in_a_line(
    folder: Path, dcz_: Callable, model: str, data: str, options: list[str], code: int, message: str
) -> None:
    before = sorted(folder.iterdir())
    run = dcz_("shrink", model, "small.dcz", "--data", data, *options)
    assert run.code == code and message in run.err and run.err.count("\n") == 1 and not run.out
    assert sorted(folder.iterdir()) == before


def test_a_file_that_exists_is_kept(folder: Path, dcz_: Callable) -> None:
    Path("small.dcz").write_bytes(b"mine")
    run = dcz_("shrink", "model.onnx", "small.dcz", "--data", "samples.npz")
    assert run.code == 1 and "small.dcz: already exists; use --force to replace it" in run.err
    run = dcz_("shrink", "model.onnx", "small.dcz", "--data", "samples.npz", "--force", "--keep", "0.99999999")
    assert run.code == 1 and Path("small.dcz").read_bytes() == b"mine"


def test_golden_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a terminal of 80 columns shows; whoever changes it reads what comes out and replaces the file."""
    monkeypatch.setattr("dcz.cli.streams.can_show", lambda text: True)
    curve = tuple(
        Tried(step, round(1.2e6 / (1 + 8 * step)), 1 - step**2 / 40) for step in (0.02, 0.1, 0.4, 0.8, 1.6, 3.2)
    )
    remarks = (
        "1 smaller file kept enough on the samples searched and not on those held out (0.98764): give more samples",
        "38% of the weights are rounded without data, their inputs are unknown: decoder.rnn.weight_ih, embed.weight",
    )
    found = Shrunk(Compressed(), {}, curve, curve[3], 0.9912, 0.98, 4_000_000, remarks)
    lines = [part for line in shrink.summary(found, "cosine", 128, 0.25) for part in streams._wrapped(line, 80)]
    shown = "\n".join([shrink.table(found, "cosine").render(80), *lines]) + "\n"
    assert shown == (GOLDEN / "shrink-80.txt").read_text(encoding="utf-8")


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="needs matplotlib")
    curve = (Tried(0.1, 1000, 0.999), Tried(0.4, 500, 0.98))
    shrink.draw(Shrunk(Compressed(), {}, curve, curve[0], 0.998, 0.99, 5000, ()), "cosine", str(tmp_path / "c.svg"))
    assert (tmp_path / "c.svg").read_text().count("<path") > 10
