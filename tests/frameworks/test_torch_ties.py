"""torch: models whose weights are tied, pruned by others, narrowed; and tensors that have no values."""

from __future__ import annotations

import io
import warnings

import numpy as np
import pytest

import dcz
from dcz.errors import DczError, UnsupportedError
from support.frameworks import framework, integration

torch = framework("torch")
dcz_torch = integration("torch")


class Tied(torch.nn.Module):
    def __init__(self, tie: bool = True) -> None:
        super().__init__()
        self.embed = torch.nn.Embedding(50, 16)
        self.head = torch.nn.Linear(16, 50, bias=False)
        if tie:
            self.head.weight = self.embed.weight


class Own(torch.nn.Module):
    """A weight and a mask of its own, which are two tensors to it."""

    def __init__(self) -> None:
        super().__init__()
        self.weight_orig = torch.nn.Parameter(torch.arange(1.0, 7).reshape(2, 3))
        self.register_buffer("weight_mask", torch.tensor([[1.0, 0, 1], [0, 1, 0]]))


def saved(model: torch.nn.Module, **options: object) -> bytes:
    file = io.BytesIO()
    dcz_torch.save_model(model, file, **options)
    return file.getvalue()


def test_a_module_with_a_mask_of_its_own_keeps_what_it_masks() -> None:
    model = torch.nn.Sequential(Own(), torch.nn.Linear(3, 2))
    torch.nn.utils.prune.l1_unstructured(model[1], "weight", 2)
    data = saved(model)
    assert sorted(dcz.load(data)) == ["0.weight_mask", "0.weight_orig", "1.bias", "1.weight"]
    other = torch.nn.Sequential(Own(), torch.nn.Linear(3, 2))
    with torch.no_grad():
        other[0].weight_orig.zero_()
    dcz_torch.load_model(other, data)
    assert torch.equal(other[0].weight_orig, torch.arange(1.0, 7).reshape(2, 3))


def test_a_state_dict_alone_is_fused_only_where_the_mask_is_one() -> None:
    state = {"w_orig": torch.ones(4), "w_mask": torch.tensor([0.5, 1, 0, 1])}
    assert dcz_torch.fuse(state).keys() == state.keys()
    state["w_mask"][0] = 0
    assert dcz_torch.fuse(state)["w"].tolist() == [0, 1, 0, 1]
    assert dcz_torch.fuse(state, pruned=()).keys() == state.keys()


@pytest.mark.parametrize("assign", [False, True])
def test_two_different_tensors_for_one_tied_weight_are_refused_by_name(assign: bool) -> None:
    data, model = saved(Tied(tie=False)), Tied()
    before = model.embed.weight.detach().clone()
    with pytest.raises(RuntimeError) as error:
        dcz_torch.load_model(model, data, assign=assign)
    assert 'Unexpected key(s) in state_dict: "head.weight"' in str(error.value)
    assert "ties embed.weight, head.weight" in str(error.value)
    assert torch.equal(model.embed.weight, before)
    result = dcz_torch.load_model(model, data, strict=False, assign=assign)
    assert result.unexpected_keys == ["head.weight"] and result.missing_keys == []
    assert model.head.weight is model.embed.weight
    np.testing.assert_array_equal(model.embed.weight.detach().numpy(), dcz.load(data)["embed.weight"])


def test_assigning_two_equal_tensors_keeps_the_tie() -> None:
    model = Tied()
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    data = dcz_torch.save(state)
    assert not dcz.open(data).aliases
    other = Tied()
    dcz_torch.load_model(other, data, assign=True)
    assert other.head.weight is other.embed.weight and torch.equal(other.head.weight, model.head.weight)


def test_two_parameters_of_one_memory_are_one_tensor() -> None:
    def model() -> torch.nn.Module:
        out = Tied(tie=False)
        out.head.weight = torch.nn.Parameter(out.embed.weight.data)
        return out

    with pytest.raises(RuntimeError, match="ties embed.weight, head.weight"):
        dcz_torch.load_model(model(), saved(Tied(tie=False)))
    first, second = model(), model()
    dcz_torch.load_model(second, saved(first))
    assert torch.equal(first.head.weight, second.embed.weight)


def test_a_tied_weight_that_one_module_prunes() -> None:
    """torch.nn.utils.prune masks it in that module alone: both computed weights are stored, and loaded again."""
    model, other = Tied(), Tied()
    for each in (model, other):
        torch.nn.utils.prune.random_unstructured(each.head, "weight", 300)
    data = saved(model)
    assert sorted(dcz.load(data)) == ["embed.weight", "head.weight"]
    dcz_torch.load_model(other, data)
    hidden = torch.randn(3, 16)
    assert torch.equal(other.embed.weight, model.embed.weight) and torch.equal(other.head(hidden), model.head(hidden))
    assert other.head.weight_orig is other.embed.weight


def test_pruning_by_the_second_name_of_a_tied_weight() -> None:
    model = Tied()
    changed = dcz_torch.prune_(model, density=0.1, names=["head.weight"])
    assert changed.density == {"head.weight": 0.1}
    assert torch.equal(model.head.weight, model.embed.weight) and int((model.embed.weight != 0).sum()) == 80
    with dcz.open(saved(model)) as reader:
        assert len(reader) == 2 and len(reader.aliases) == 1


@pytest.mark.parametrize("wrap", ["weight_norm", "spectral_norm"])
def test_a_weight_that_another_parametrization_computes_is_skipped_by_name(wrap: str) -> None:
    model = torch.nn.Sequential(torch.nn.Linear(64, 64), torch.nn.Linear(64, 64))
    getattr(torch.nn.utils.parametrizations, wrap)(model[0])
    for change in (lambda **options: dcz_torch.prune_(model, density=0.5, **options),
                   lambda **options: dcz_torch.cluster_(model, n_bits=4, **options)):  # fmt: skip
        changed = change()
        assert list(changed.density) == ["1.weight"]
        assert "another parametrization" in changed.skipped["0.weight"]
        dcz_torch.finalize_(model)
    with pytest.raises(DczError, match=r"tensor '0\.weight': .*another parametrization"):
        dcz_torch.prune_(model, density=0.5, names=["0.weight"])


@pytest.mark.parametrize("wrap", ["weight_norm", "spectral_norm"])
def test_pruning_under_a_norm_made_by_hooks(wrap: str) -> None:
    """These keep the weight under another name, which is pruned; the weight is zero where it is."""
    model = torch.nn.Linear(64, 64)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, of weight_norm
        getattr(torch.nn.utils, wrap)(model)
    (name,) = dcz_torch.prune_(model, density=0.25).density
    model(torch.ones(1, 64))
    assert name in ("weight_v", "weight_orig") and int((model.weight != 0).sum()) == 1024


def test_values_that_the_models_dtype_cannot_hold_are_refused() -> None:
    model = torch.nn.Linear(3, 2).half()
    data = dcz_torch.save({"weight": torch.full((2, 3), 1e6), "bias": torch.zeros(2)})
    with pytest.raises(RuntimeError, match="tensor 'weight': 6 values of torch.float32 beyond .* torch.float16"):
        dcz_torch.load_model(model, data)
    dcz_torch.load_model(model, data, assign=True)
    assert model.weight.dtype == torch.float32


def test_force_contiguous() -> None:
    model = torch.nn.Linear(3, 2)
    model.weight = torch.nn.Parameter(torch.zeros(3, 2).T)
    with pytest.raises(ValueError, match=r"'weight': is not contiguous.*use save_model\(..., force_contiguous=True\)"):
        saved(model, force_contiguous=False)
    assert dcz.load(saved(model))["weight"].shape == (2, 3)


def distributed() -> torch.Tensor:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.tensor import Replicate, distribute_tensor

    store = torch.distributed.HashStore()
    if not torch.distributed.is_initialized():
        torch.distributed.init_process_group("gloo", store=store, rank=0, world_size=1)
    return distribute_tensor(torch.ones(4), init_device_mesh("cpu", (1,)), [Replicate()])


def fake() -> torch.Tensor:
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode():
        return torch.ones(4)


def quantized() -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.quantize_per_tensor(torch.ones(4), 0.1, 0, torch.qint8)


def nested(layout: torch.layout) -> torch.Tensor:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that nested tensors are a prototype
        return torch.nested.nested_tensor([torch.ones(2), torch.ones(3)], layout=layout)


NO_VALUES = {
    "meta": (lambda: torch.ones(4, device="meta"), "on the meta device"),
    "fake": (fake, "outside of FakeTensorMode"),
    "nested": (lambda: nested(torch.strided), r"\.unbind\(\)"),
    "jagged": (lambda: nested(torch.jagged), r"\.unbind\(\)"),
    "sparse": (lambda: torch.eye(3).to_sparse(), r"\.to_dense\(\)"),
    "lazy": (lambda: torch.nn.LazyLinear(3).weight, "run the model once"),
    "quantized": (quantized, r"\.int_repr\(\)"),
    "distributed": (distributed, r"\.full_tensor\(\)"),
}


@pytest.mark.parametrize("kind", NO_VALUES)
def test_tensors_without_values_of_their_own(kind: str) -> None:
    make, remedy = NO_VALUES[kind]
    file = io.BytesIO()
    try:
        tensor = make()
        with pytest.raises(UnsupportedError, match=f"tensor 'odd': .*{remedy}"):
            dcz_torch.save_file({"a": torch.ones(3), "odd": tensor}, file)
    finally:
        if kind == "distributed" and torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()
    assert file.getvalue() == b""


def test_a_tensor_inside_vmap_has_no_values() -> None:
    def save(tensor: torch.Tensor) -> torch.Tensor:
        with pytest.raises(UnsupportedError, match="tensor 'odd': .*outside of vmap"):
            dcz_torch.save({"odd": tensor})
        return tensor

    torch.func.vmap(save)(torch.ones(3))


@pytest.mark.skipif(not hasattr(torch, "float4_e2m1fn_x2"), reason="this torch has no float4_e2m1fn_x2")
def test_floats_of_four_bits() -> None:
    """Two to a byte in torch, one to a byte in a file, as numpy has them."""
    raw = torch.arange(256, dtype=torch.uint8).reshape(16, 16)
    data = dcz_torch.save({"w": raw.view(torch.float4_e2m1fn_x2)})
    array = dcz.load(data)["w"]
    assert array.shape == (16, 32) and array.dtype.name == "float4_e2m1fn"
    assert array.view(np.uint8)[1, :4].tolist() == [0, 1, 1, 1] and float(array[0, 30]) == -6.0
    found = dcz_torch.load(data)["w"]
    assert found.dtype == torch.float4_e2m1fn_x2 and torch.equal(found.view(torch.uint8), raw)
    assert dcz_torch.load_file(data, device="meta")["w"].shape == (16, 16)
    with pytest.raises(UnsupportedError, match="torch has no float4_e2m1fn but in pairs"):
        dcz_torch.load(dcz.save({"w": array[:, :31]}))
