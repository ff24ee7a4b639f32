"""torch: models with tied and masked weights, the meta device, memory that is shared, and torch's own words."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.dtypes import DTYPES
from dcz.errors import ChecksumError, DczError, UnsupportedError
from support.frameworks import bits, framework, integration

torch = framework("torch")
dcz_torch = integration("torch")


class Tied(torch.nn.Module):
    """A language model in small: embedding and head are one parameter."""

    def __init__(self, tie: bool = True) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(50, 16)
        self.norm = torch.nn.BatchNorm1d(16)
        self.head = torch.nn.Linear(16, 50, bias=False)
        if tie:
            self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.head(self.norm(self.embed(tokens)))


TOKENS = torch.arange(12)


def saved(model: torch.nn.Module, **options: object) -> bytes:
    file = io.BytesIO()
    dcz_torch.save_model(model, file, **options)
    return file.getvalue()


@pytest.mark.parametrize("assign", [False, True])
@pytest.mark.parametrize("tie", [False, True])
def test_forward_passes_are_equal(tie: bool, assign: bool) -> None:
    model, other = Tied(tie).eval(), Tied(tie).eval()
    with torch.no_grad():
        model.norm.running_mean.uniform_()
    data = saved(model)
    assert bool(dcz.open(data).aliases) == tie
    result = dcz_torch.load_model(other, data, assign=assign)
    assert result.missing_keys == [] and result.unexpected_keys == []
    assert torch.equal(model(TOKENS), other(TOKENS))
    assert (other.head.weight is other.embed.weight) == tie
    assert other.embed.weight.requires_grad


def test_a_model_on_the_meta_device_is_assigned() -> None:
    model = Tied().eval()
    with torch.device("meta"):
        other = Tied().eval()
    dcz_torch.load_model(other, saved(model), assign=True)
    assert torch.equal(model(TOKENS), other(TOKENS))
    assert other.head.weight is other.embed.weight and isinstance(other.head.weight, torch.nn.Parameter)
    with torch.device("meta"):
        other = Tied()
    with pytest.warns(UserWarning, match="copying from a non-meta parameter"):  # torch's own
        dcz_torch.load_model(other, saved(model))


def test_one_name_of_a_tied_weight_is_enough() -> None:
    model, other = Tied().eval(), Tied().eval()
    state = model.state_dict()
    del state["head.weight"]
    dcz_torch.load_model(other, dcz_torch.save(state), assign=True)
    assert torch.equal(model(TOKENS), other(TOKENS)) and other.head.weight is other.embed.weight


def torchs_words(model: torch.nn.Module, state: dict, strict: bool) -> object:
    try:
        return model.load_state_dict(state, strict=strict)
    except RuntimeError as error:
        return str(error)


@pytest.mark.parametrize("strict", [True, False])
@pytest.mark.parametrize("change", ["missing", "unexpected", "both", "shape"])
def test_mismatches_in_torchs_own_words(change: str, strict: bool) -> None:
    state = dict(torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2)).state_dict())
    if change in ("missing", "both"):
        del state["0.bias"]
    if change in ("unexpected", "both"):
        state["2.weight"] = torch.zeros(3)
    if change == "shape":
        state["1.weight"] = torch.zeros(5, 5)
    model = torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.Linear(3, 2))
    words = torchs_words(model, state, strict)
    data = dcz_torch.save(state)
    if isinstance(words, str):
        with pytest.raises(RuntimeError) as error:
            dcz_torch.load_model(model, data, strict)
        assert str(error.value) == words
    else:
        assert dcz_torch.load_model(model, data, strict) == words
    assert isinstance(words, str) == (strict or change == "shape")


def test_a_damaged_file_leaves_the_model_alone() -> None:
    model = Tied()
    data = bytearray(saved(Tied(), profile="raw"))
    data[200] ^= 1
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    for assign in (False, True):
        with pytest.raises(ChecksumError):
            dcz_torch.load_model(model, bytes(data), assign=assign)
    assert all(torch.equal(tensor, before[name]) for name, tensor in model.state_dict().items())


def test_pruned_parameters_are_fused_and_the_model_computes_the_same() -> None:
    from torch.nn.utils import prune

    torch.manual_seed(1)
    model = torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10))
    prune.l1_unstructured(model[0], "weight", 0.9)
    data = saved(model)
    tensors = dcz.load(data)
    assert sorted(tensors) == ["0.bias", "0.weight", "2.bias", "2.weight"]
    weight = tensors["0.weight"]
    assert np.count_nonzero(weight) == 60
    assert np.count_nonzero(weight.view(np.uint32)) == 60  # -0.0 nowhere: where masked, nothing is stored
    plain = torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10))
    dcz_torch.load_model(plain, data)
    x = torch.randn(5, 30)
    assert torch.equal(plain(x), model(x))
    again = torch.nn.Sequential(torch.nn.Linear(30, 20), torch.nn.ReLU(), torch.nn.Linear(20, 10))
    prune.random_unstructured(again[0], "weight", 0.5)  # still being pruned
    dcz_torch.load_model(again, data)
    assert torch.equal(again(x), model(x)) and torch.equal(again[0].weight_mask, model[0].weight_mask)


def test_a_masked_infinity_is_zero() -> None:
    from dcz.torch.state_dicts import fuse

    state = {"w_orig": torch.tensor([float("inf"), float("nan"), -2.0]), "w_mask": torch.tensor([0.0, 0.0, 1.0])}
    assert bits("torch", fuse(state)["w"])[2] == np.float32([0, 0, -2]).tobytes()
    assert sorted(fuse({"a_orig": torch.ones(1), "b_mask": torch.ones(1)})) == ["a_orig", "b_mask"]


def test_there_is_no_second_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tensor is the decoded memory, the assigned parameter is the tensor, and what is saved is read in place."""
    from dcz.torch import tensors as module

    decoded: dict[str, int] = {}
    plain = module.load_arrays

    def spy(*args: object, **options: object) -> dict[str, np.ndarray]:
        found = plain(*args, **options)
        decoded.update({name: array.__array_interface__["data"][0] for name, array in found.items()})
        return found

    data = saved(Tied())
    monkeypatch.setattr(module, "load_arrays", spy)
    for name, tensor in dcz_torch.load(data).items():
        assert tensor.data_ptr() == decoded[name]
    model = Tied()
    dcz_torch.load_model(model, data, assign=True)
    for name, tensor in model.state_dict().items():
        assert tensor.data_ptr() == decoded[name]
    for tensor in (torch.zeros(5, 7), torch.zeros(3, dtype=torch.bfloat16), torch.zeros(())):
        assert module.to_array(tensor).__array_interface__["data"][0] == tensor.data_ptr()


def test_decoding_into_tensors_one_has() -> None:
    data = dcz_torch.save({"w": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)})
    own = torch.zeros(2, 3)
    found = dcz_torch.load_file(data, out={"w": own})
    assert found["w"] is own and own.tolist() == [[0, 1, 2], [3, 4, 5]]
    for wrong in (
        torch.zeros(3, 2).T,
        torch.zeros(2, 3, dtype=torch.float64),
        torch.zeros(3, 2),
        np.zeros((2, 3), "f4"),
    ):
        with pytest.raises(DczError, match="w"):
            dcz_torch.load_file(data, out={"w": wrong})
    with pytest.raises(DczError, match="no memory"):
        dcz_torch.load_file(data, "meta", out={"w": own})


def test_the_meta_device_reads_no_tensor() -> None:
    class Counting(io.BytesIO):
        read_bytes = 0

        def read(self, size: int = -1) -> bytes:
            found = super().read(size)
            Counting.read_bytes += len(found)
            return found

    weight = torch.rand(500, 500)
    data = dcz_torch.save({"w": weight, "v": weight})
    found = dcz_torch.load_file(Counting(data), device="meta")
    assert found["w"].device.type == "meta" and found["w"].shape == (500, 500) and found["v"] is found["w"]
    assert Counting.read_bytes < 70_000 < len(data)


def test_tensors_of_any_strides_and_flags() -> None:
    base = torch.randn(6, 8)
    parameter = torch.nn.Parameter(base.clone())
    tensors = {
        "transposed": base.T,
        "strided": base[::2, 1::3],
        "expanded": torch.ones(1).expand(50, 3),
        "one of many": torch.arange(10)[3::4][:1],
        "channels last": torch.randn(2, 3, 4, 5).contiguous(memory_format=torch.channels_last),
        "parameter": parameter,
        "computed": parameter * 2,
        "conjugate": torch.randn(4, dtype=torch.complex64).conj(),
        "negative": torch.randn(4, dtype=torch.complex64).conj().imag,
        "view": base[1:3],
        "empty": torch.empty(0, 4),
    }
    loaded = dcz_torch.load(dcz_torch.save(tensors))
    for name, tensor in tensors.items():
        plain = tensor.detach().resolve_conj().resolve_neg()
        assert bits("torch", loaded[name]) == bits("torch", plain), name
        assert loaded[name].is_contiguous()


def test_views_of_one_memory_are_not_aliases() -> None:
    base = torch.arange(16.0).reshape(4, 4)
    data = dcz_torch.save({"a": base, "b": base.T, "c": base[:2], "d": base.view(torch.int32), "e": base.detach()})
    assert dict(dcz.open(data).aliases) == {"e": "a"}


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: torch.eye(3).to_sparse(), "layout"),
        (lambda: torch.empty(3, device="meta"), "meta device"),
        (lambda: torch.quantize_per_tensor(torch.ones(3), 0.1, 0, torch.qint8), "quantized"),
        (lambda: torch.empty(3, dtype=torch.bits8), "dtype torch.bits8"),
        (lambda: np.ones(3), "expected a torch.Tensor"),
    ],
)
def test_what_has_no_dense_values_is_refused(make: object, words: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's own: quantized tensors are deprecated
        value = make()
        with pytest.raises(UnsupportedError, match=f"tensor 'odd': .*{words}"):
            dcz_torch.save({"odd": value})


def test_a_missing_dtype_is_refused(tmp_path: Path) -> None:
    import ml_dtypes

    dcz.save_file({"w": np.zeros(3, ml_dtypes.float6_e2m3fn)}, tmp_path / "w.dcz")
    for device in ("cpu", "meta"):
        with pytest.raises(UnsupportedError, match="tensor 'w': torch has no dtype float6_e2m3fn"):
            dcz_torch.load_file(tmp_path / "w.dcz", device)


def test_casting_is_torchs(tmp_path: Path) -> None:
    """Without `assign`, torch converts to the model's dtype; with it, the file's dtype is kept."""
    dcz_torch.save_model(torch.nn.Linear(3, 2).to(torch.bfloat16), tmp_path / "m.dcz")
    model = torch.nn.Linear(3, 2)
    dcz_torch.load_model(model, tmp_path / "m.dcz")
    assert model.weight.dtype == torch.float32
    dcz_torch.load_model(model, tmp_path / "m.dcz", assign=True)
    assert model.weight.dtype == torch.bfloat16


@pytest.mark.parametrize("code", ["I4", "U2"])
def test_integers_of_which_torch_has_the_name_alone(code: str) -> None:
    data = dcz.save({"w": np.zeros(3, DTYPES[code].numpy())})
    with pytest.raises(UnsupportedError, match=f"tensor 'w': torch has no dtype {DTYPES[code].name}; read it with"):
        dcz_torch.load(data)
