"""DFloat11 checkpoints, made here from their published description: read as the bfloat16 tensors they stand for."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.convert.dfloat11_decode import Exponents, joined
from dcz.convert.folder import convert_folder
from dcz.errors import DczError, FormatError, UnsupportedError
from support.dfloat11 import Parts, encode, module, weights

CONFIG = {
    "model_type": "llama", "hidden_size": 64, "vocab_size": 100, "torch_dtype": "bfloat16",
    "dfloat11_config": {
        "version": "0.5.0", "threads_per_block": [512], "bytes_per_thread": 8,
        "pattern_dict": {
            "model\\.embed_tokens": [],
            "model\\.layers\\.\\d+": ["self_attn.q_proj", "self_attn.o_proj", "mlp.down_proj"],
            "lm_head": [],
        },
    },
}  # fmt: skip


def checkpoint() -> dict[str, np.ndarray]:
    layers = {"self_attn.q_proj": (96, 64), "self_attn.o_proj": (64, 96), "mlp.down_proj": (64, 200)}
    shapes = {
        "model.embed_tokens.weight": (100, 64), "lm_head.weight": (100, 64), "model.layers.0.norm.weight": (64,),
        **{
            f"model.layers.{i}.{name}.weight": shape
            for i in range(2)
            for name, shape in layers.items()
        },
    }  # fmt: skip
    return {name: weights(seed, *shape) for seed, (name, shape) in enumerate(shapes.items())}


def write(folder: Path, dense: dict[str, np.ndarray], apart: bool) -> None:
    """As the package saves: one file, or one for each module beside that of the rest."""
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(CONFIG))
    layers = CONFIG["dfloat11_config"]["pattern_dict"]["model\\.layers\\.\\d+"]
    modules = {"model.embed_tokens": [], "model.layers.0": layers, "model.layers.1": layers, "lm_head": []}
    coded = {prefix: module(dense, prefix, names) for prefix, names in modules.items()}
    rest = {"model.layers.0.norm.weight": dense["model.layers.0.norm.weight"].astype(np.float32)}
    if apart:
        save_file(rest, folder / "model.safetensors")
        for prefix, parts in coded.items():
            save_file(parts, folder / f"{prefix.replace('.', '_')}.safetensors")
    else:
        save_file(
            {**rest, **{name: each for parts in coded.values() for name, each in parts.items()}},
            folder / "model.safetensors",
        )


def expected(dense: dict[str, np.ndarray]) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    whole = {**dense, "model.layers.0.norm.weight": dense["model.layers.0.norm.weight"].astype(np.float32)}
    return {name: (array.dtype.name, array.shape, array.tobytes()) for name, array in whole.items()}


@pytest.mark.parametrize("apart", [False, True])
@pytest.mark.parametrize("extension", [".dcz", ".safetensors"])
def test_a_folder_becomes_a_plain_model(tmp_path: Path, apart: bool, extension: str) -> None:
    dense = checkpoint()
    write(tmp_path / "df11", dense, apart)
    done = convert_folder(str(tmp_path / "df11"), str(tmp_path / "plain"), extension)
    assert sorted(path.name for path in (tmp_path / "plain").iterdir()) == ["config.json", f"model{extension}"]
    assert done.mended == ("config.json",)
    plain = json.loads((tmp_path / "plain" / "config.json").read_text())
    assert plain == {key: value for key, value in CONFIG.items() if key != "dfloat11_config"}
    with open_model(tmp_path / "plain" / f"model{extension}") as model:
        found = {each.name: model.read(each.name) for each in model.tensors()}
    assert {n: (a.dtype.name, a.shape, a.tobytes()) for n, a in found.items()} == expected(dense)


def test_one_file_alone(tmp_path: Path) -> None:
    dense = checkpoint()
    write(tmp_path / "df11", dense, True)
    with open_model(tmp_path / "df11" / "model_layers_1.safetensors") as model:
        transfer(model, open_target(tmp_path / "layer.dcz"))
    found = dcz.load_file(tmp_path / "layer.dcz")
    assert len(found) == 3 and all(found[name].tobytes() == dense[name].tobytes() for name in found)


@given(st.integers(0, 2**32), st.integers(1, 9000), st.sampled_from([1, 3, 30, 200]), st.booleans(), st.data())
def test_any_exponents_and_any_range(seed: int, count: int, kinds: int, deep: bool, data: st.DataObject) -> None:
    """Few and many exponents, with codes of up to 32 bits; also where no code ends on a byte."""
    rng = np.random.Generator(np.random.PCG64(seed))
    symbols = rng.permutation(240)[:kinds]
    words = (symbols[rng.integers(0, kinds, count)] << 7 | rng.integers(0, 128, count)).astype(np.uint16)
    words |= (rng.integers(0, 2, count) << 15).astype(np.uint16)
    used = sorted({*(words >> 7 & 0xFF).tolist()})
    lengths = None
    if deep and 2 <= len(used) <= 31:  # one code of each length
        order = rng.permutation(used).tolist()
        lengths = {symbol: n + 1 for n, symbol in enumerate(order)} | {-1: len(order)}
        lengths[order[-1]] = len(order)
    parts = encode(words, lengths)
    assume(len(parts["luts"]) <= 18)  # one table, 16 that pointers lead to, and the lengths
    coded = Exponents(parts, count, "here")
    assert joined(coded.decode(0, count), parts["sign_mantissa"]).tobytes() == words.tobytes()
    first = data.draw(st.integers(0, count))
    last = data.draw(st.integers(first, count))
    assert coded.decode(first, last).tolist() == (words[first:last] >> 7 & 0xFF).tolist()


def test_blocks_and_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Several blocks of 512 lanes, decoded a few lanes at a time."""
    words = weights(3, 40_000).view(np.uint16)
    parts = encode(words)
    assert len(parts["output_positions"]) > 12
    for lanes in (7, 512, 600):
        monkeypatch.setattr("dcz.convert.dfloat11_decode._LANES", lanes)
        for first, last in ((0, 40_000), (12_345, 30_001), (39_999, 40_000), (11_000, 11_001)):
            found = Exponents(parts, 40_000, "here").decode(first, last)
            assert found.tolist() == (words[first:last] >> 7 & 0xFF).tolist()


def test_the_package_itself() -> None:
    """What DFloat11's own encoder makes, which needs no GPU."""
    package = find_spec("dfloat11")  # which cannot be imported without a GPU; its encoder can
    if package is None or find_spec("dahuffman") is None:
        pytest.skip("dfloat11 0.5 and dahuffman are not installed")
    import torch

    file = Path(package.submodule_search_locations[0]) / "dfloat11_utils.py"
    utils = module_from_spec(spec := spec_from_file_location("dfloat11_utils", file))
    spec.loader.exec_module(utils)

    dense = [
        torch.from_numpy(weights(seed, n).view(np.int16)).view(torch.bfloat16) for seed, n in ((1, 6144), (2, 9999))
    ]
    _, counts = utils.get_codec(torch.cat(dense))
    codec, _, table = utils.get_32bit_codec(counts)
    encoded, other, positions, gaps, split = utils.encode_weights(dense, codec, 8, 512)
    parts = {
        "encoded_exponent": encoded.numpy(), "luts": utils.get_luts(table).numpy(), "gaps": gaps.numpy(),
        "output_positions": positions.view(torch.uint8).numpy(),
    }  # fmt: skip
    exponents = Exponents(parts, len(other), "here").decode(0, len(other))
    found = joined(exponents, other.numpy())
    assert split.tolist() == [6144]
    assert found.tobytes() == torch.cat(dense).view(torch.int16).numpy().tobytes()


Change = Callable[[Parts], None]


def flip(name: str, place: int, bits: int = 0xFF) -> Change:
    def change(parts: Parts) -> None:
        parts[name] = parts[name].copy()
        parts[name].reshape(-1)[place] ^= bits

    return change


def cut(name: str) -> Change:
    return lambda parts: parts.update({name: parts[name][:-1]})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (flip("encoded_exponent", 3000), "gaps: the code in bytes|luts|output_positions"),
        (flip("gaps", 100), "gaps: the code in bytes"),
        (flip("gaps", 0), "begins at bit"),
        (flip("output_positions", 4), "output_positions: block 1 begins with weight"),
        (flip("output_positions", -4), "do not go from 0 to 40000"),
        (cut("output_positions"), "expected 32-bit integers"),
        (lambda parts: parts.update(output_positions=parts["output_positions"][:8]), "do not go from|of 1 blocks"),
        (lambda parts: parts.update(gaps=parts["gaps"][:50]), "gaps should have"),
        (lambda parts: parts.update(encoded_exponent=parts["encoded_exponent"][:8000]), "expected codes of|blocks"),
        (lambda parts: parts.update(luts=parts["luts"][:1]), "luts: expected"),
        (lambda parts: parts.update(luts=parts["luts"][:, :255]), "luts: expected"),
        (lambda parts: parts.update(luts=np.zeros_like(parts["luts"])), "codes of 0 bits"),
        (lambda parts: parts.update(luts=np.full_like(parts["luts"], 200)), "codes for exponents from 240 on"),
    ],
)
def test_what_is_not_consistent_is_refused(change: Change, message: str) -> None:
    words = weights(3, 40_000).view(np.uint16)
    parts = encode(words)
    change(parts)
    with pytest.raises(FormatError, match=f"^here: .*({message})"):
        Exponents(parts, 40_000, "here").decode(0, 40_000)


def test_damage_never_goes_beyond_an_error() -> None:
    """Any byte of any part, changed: the same weights, other ones, or an error of dcz."""
    words = weights(5, 3000).view(np.uint16)
    whole = encode(words)
    rng = np.random.Generator(np.random.PCG64(1))
    refused = 0
    for name in whole:
        for _ in range(60):
            parts = dict(whole)
            flip(name, int(rng.integers(whole[name].size)), int(rng.integers(1, 256)))(parts)
            try:
                Exponents(parts, 3000, "here").decode(0, 3000)
            except FormatError:
                refused += 1
    assert refused > 100


def test_shapes_that_are_given(tmp_path: Path) -> None:
    """Of layers that are not known by their names."""
    dense = {"block.0.proj_out.weight": weights(1, 30, 20), "block.0.to_q.weight": weights(2, 7, 8)}
    config = json.loads(json.dumps(CONFIG))
    config["dfloat11_config"]["pattern_dict"] = {"block\\.\\d+": ["proj_out", "to_q"]}
    (tmp_path / "config.json").write_text(json.dumps(config))
    path, shapes = tmp_path / "m.safetensors", tmp_path / "shapes.json"
    save_file(module(dense, "block.0", ["proj_out", "to_q"]), path)
    with pytest.raises(UnsupportedError, match="that of 'proj_out' is not known; pack the file with --shapes"):
        open_model(path)
    shapes.write_text(json.dumps({name: array.shape for name, array in dense.items()}))
    with open_model(path, shapes=shapes) as model:
        assert {e.name: e.shape for e in model.tensors()} == {name: array.shape for name, array in dense.items()}
        assert all(model.read(name).tobytes() == array.tobytes() for name, array in dense.items())
    shapes.write_text(json.dumps({"block.0.proj_out.weight": [30, 21]}))
    with pytest.raises(FormatError, match=r"600 weights, the given shape \[30, 21\] takes 630"):
        open_model(path, shapes=shapes)
    save_file({"w": dense["block.0.to_q.weight"].astype(np.float32)}, path)
    with pytest.raises(DczError, match="this file has its own"):
        open_model(path, shapes=shapes)


def test_what_the_configuration_says(tmp_path: Path) -> None:
    dense = checkpoint()
    write(tmp_path / "df11", dense, False)
    config, path = tmp_path / "df11" / "config.json", tmp_path / "df11" / "model.safetensors"

    def refuse(kind: type[DczError], message: str, **changes: object) -> None:
        document = json.loads(json.dumps(CONFIG))
        for key, value in changes.items():
            (document if key in CONFIG else document["dfloat11_config"])[key] = value
        config.write_text(json.dumps(document))
        with pytest.raises(kind, match=message):
            open_model(path)

    layers = CONFIG["dfloat11_config"]["pattern_dict"]
    refuse(UnsupportedError, "bytes_per_thread 16", bytes_per_thread=16)
    refuse(FormatError, "no dfloat11_config with a pattern_dict", dfloat11_config={})
    refuse(FormatError, "no dfloat11_config with a pattern_dict", pattern_dict=[])
    refuse(FormatError, "has no list of names", pattern_dict={"lm_head": [3]})
    refuse(FormatError, "no pattern of config.json's pattern_dict", pattern_dict={"lm_head": []})
    refuse(UnsupportedError, r"pattern '\(a\+\)\+b'", pattern_dict={"(a+)+b": []})
    refuse(UnsupportedError, r"expected names", pattern_dict={"\\d+\\d+x": []})
    refuse(FormatError, "2 layers, found", pattern_dict={**layers, "model\\.layers\\.\\d+": ["a.q_proj", "b.q_proj"]})
    refuse(UnsupportedError, "that of 'blob' is not known", pattern_dict={**layers, "lm_head": ["blob"]})
    refuse(UnsupportedError, "config.json has no hidden_size", hidden_size=None)
    refuse(FormatError, "expected weights in rows of hidden_size 77", hidden_size=77)
    config.write_text("{")
    with pytest.raises(FormatError, match="not valid JSON"):
        open_model(path)
    config.unlink()
    with pytest.raises(DczError, match="whose names are in a config.json"):
        open_model(path)
