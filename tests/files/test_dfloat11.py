"""DFloat11 checkpoints, made here from their published description: read as the bfloat16 tensors they stand for."""

from __future__ import annotations

import heapq
import json
from collections import Counter
from collections.abc import Callable
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import save_file

import dcz
from dcz.convert import open_model, open_target, transfer
from dcz.convert.dfloat11_decode import Exponents, joined
from dcz.convert.folder import convert_folder
from dcz.errors import DczError, FormatError, UnsupportedError

BF16 = ml_dtypes.bfloat16
Parts = dict[str, np.ndarray]


def code_lengths(counts: dict[int, int]) -> dict[int, int]:
    """Lengths of a Huffman code of these symbols and one for the end, which is -1."""
    heap = [(count, symbol, {symbol: 0}) for symbol, count in sorted({**counts, -1: 1}.items())]
    heapq.heapify(heap)
    while len(heap) > 1:
        one, other = heapq.heappop(heap), heapq.heappop(heap)
        joined_ = {symbol: n + 1 for each in (one, other) for symbol, n in each[2].items()}
        heapq.heappush(heap, (one[0] + other[0], min(one[1], other[1]), joined_))
    return heap[0][2]


def codes_of(lengths: dict[int, int]) -> dict[int, str]:
    """Canonical codes as text of bits."""
    out, code, before = {}, 0, 0
    for symbol, n in sorted(lengths.items(), key=lambda item: (item[1], item[0])):
        code <<= n - before
        out[symbol], code, before = format(code, f"0{n}b"), code + 1, n
    return out


def encode(words: np.ndarray, lengths: dict[int, int] | None = None) -> Parts:
    """The tensors of a module over all its weights."""
    exponents = (words >> 7 & 0xFF).tolist()
    codes = codes_of(lengths or code_lengths(Counter(exponents)))
    gaps, positions, at = [], [], 0
    for number, exponent in enumerate(exponents):
        if at // 64 >= len(gaps):
            gaps.append(at % 64)
        if at // (64 * 512) >= len(positions):
            positions.append(number)
        at += len(codes[exponent])
    bits = "".join(codes[exponent] for exponent in exponents)
    if len(bits) % 8:  # filled by the end's code
        bits += (codes[-1] + "0" * 8)[: -len(bits) % 8]
        if at // 64 >= len(gaps):
            gaps.append(at % 64)
    positions.append(len(exponents))
    lanes = 512 * -(-len(bits) // (64 * 512))
    gaps += [0] * (lanes - len(gaps))
    prefixes = sorted({code[: (len(code) - 1) // 8 * 8] for code in codes.values()} | {""}, key=len)
    for code in codes.values():
        assert all(code[:n] in prefixes for n in range(0, len(code), 8))
    luts = np.zeros((len(prefixes) + 1, 256), np.uint8)
    for symbol, code in codes.items():
        if symbol < 0:
            continue
        luts[-1, symbol] = len(code)
        for n in range(0, len(code), 8):
            rest, table = code[n : n + 8], prefixes.index(code[:n])
            if len(code) > n + 8:
                luts[table, int(rest, 2)] = 256 - prefixes.index(code[: n + 8])
            else:
                first = int(rest.ljust(8, "0"), 2)
                luts[table, first : first + (1 << 8 - len(rest))] = symbol
    return {
        "encoded_exponent": np.packbits(np.array([*bits], np.uint8)),
        "sign_mantissa": (words >> 8 & 0x80 | words & 0x7F).astype(np.uint8),
        "luts": luts,
        "gaps": np.packbits([int(bit) for gap in gaps for bit in format(gap, "05b")]),
        "output_positions": np.array(positions, "<u4").view(np.uint8),
    }


def weights(seed: int, *shape: int) -> np.ndarray:
    rng = np.random.Generator(np.random.PCG64(seed))
    return (rng.standard_normal(shape) * 0.02 * rng.choice([1, 1e-4], shape, p=[0.99, 0.01])).astype(BF16)


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


def module(dense: dict[str, np.ndarray], prefix: str, names: list[str]) -> Parts:
    parts = [dense[f"{prefix}.{name}.weight" if name else f"{prefix}.weight"].reshape(-1) for name in names or [""]]
    split = np.cumsum([len(part) for part in parts])[:-1].astype(np.int64)
    made = {**encode(np.concatenate(parts).view(np.uint16)), "split_positions": split}
    return {f"{prefix}.{name}": array for name, array in made.items()}


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
