"""A model that is pruned and clustered in place trains as it should, checkpoints, and comes out as plain tensors."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import dcz
from dcz.errors import DczError

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
nn = torch.nn

import dcz.torch

OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, 0.05),
    "momentum": lambda p: torch.optim.SGD(p, 0.05, momentum=0.9, weight_decay=0.01),
    "adam": lambda p: torch.optim.Adam(p, 0.01),
    "adamw": lambda p: torch.optim.AdamW(p, 0.01, weight_decay=0.1),
    "rmsprop": lambda p: torch.optim.RMSprop(p, 0.01),
}


class Net(nn.Module):
    """Every kind of layer that has a matrix of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(40, 64)
        self.conv = nn.Conv1d(64, 32, 3, padding=1)
        self.norm = nn.BatchNorm1d(32)
        self.up = nn.ConvTranspose1d(32, 32, 3, padding=1)
        self.fc = nn.Linear(32 * 6, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embed(x).transpose(1, 2)
        x = torch.relu(self.up(torch.relu(self.norm(self.conv(x)))))
        return self.fc(x.flatten(1))


WEIGHTS = ["embed.weight", "conv.weight", "up.weight"]


def net(seed: int = 0) -> Net:
    torch.manual_seed(seed)
    return Net()


def step(model: nn.Module, optimizer: torch.optim.Optimizer, seed: int = 0) -> float:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randint(0, 40, (16, 6), generator=generator)
    y = torch.randint(0, 10, (16,), generator=generator)
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x), y)
    loss.backward()
    optimizer.step()
    return loss.item()


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_what_is_pruned_stays_pruned(optimizer: str) -> None:
    model = net()
    optimizer_ = OPTIMIZERS[optimizer](model.parameters())  # made before: parameters stay the same objects
    step(model, optimizer_)
    touched = dcz.torch.prune_(model, density=0.2)
    assert list(touched.density) == WEIGHTS and {"fc.weight", "fc.bias", "norm.weight"} <= set(touched.skipped)
    before = {name: dict(model.named_modules())[name.rpartition(".")[0]].weight.detach().clone() for name in WEIGHTS}
    losses = [step(model, optimizer_) for _ in range(8)]
    assert losses[-1] < losses[0]
    for name, old in before.items():
        new = dict(model.named_modules())[name.rpartition(".")[0]].weight.detach()
        assert not new[old == 0].any() and not torch.signbit(new[old == 0]).any()
        if "embed" not in name:
            assert (new != old).any()


def test_iterative_pruning_never_brings_weights_back() -> None:
    model = net()
    optimizer = OPTIMIZERS["adam"](model.parameters())
    masks = []
    for density in (0.6, 0.4, 0.2):
        dcz.torch.prune_(model, density=density)
        for _ in range(3):
            step(model, optimizer)
        masks.append(model.conv.weight.detach() != 0)
    assert not (masks[1] & ~masks[0]).any() and not (masks[2] & ~masks[1]).any()
    assert abs(float(masks[2].float().mean()) - 0.2) < 0.001


def test_the_gradient_of_a_codebook_value_is_the_sum_over_its_cluster() -> None:
    torch.manual_seed(1)
    layer = nn.Linear(64, 48, bias=False).double()
    dcz.torch.prune_(layer, density=0.3)
    dcz.torch.cluster_(layer, n_bits=3)
    codebook = layer.parametrizations.weight.original
    index = layer.parametrizations.weight[0].index
    assert codebook.shape == (1, 8)
    x, y = torch.randn(5, 64).double(), torch.randn(5, 48).double()
    (layer(x) * y).sum().backward()
    dense = y.T @ x  # the gradient of a dense weight
    expected = torch.stack([dense[index == c + 1].sum() for c in range(8)])
    torch.testing.assert_close(codebook.grad[0], expected)


@pytest.mark.parametrize("granularity", [{}, {"granularity": "per_grouped_channel", "group_size": 8}])
@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_weights_stay_shared_while_codebooks_are_trained(optimizer: str, granularity: dict) -> None:
    model = net()
    dcz.torch.prune_(model, density=0.5)
    dcz.torch.cluster_(model, n_bits=3, **granularity)
    index = model.conv.parametrizations.weight[0].index.clone()
    book = model.conv.parametrizations.weight.original.detach().clone()
    optimizer_ = OPTIMIZERS[optimizer](model.parameters())
    losses = [step(model, optimizer_) for _ in range(8)]
    assert losses[-1] < losses[0]
    assert (model.conv.parametrizations.weight.original != book).any()
    assert (model.conv.parametrizations.weight[0].index == index).all()
    for row, places in zip(model.conv.weight.reshape(len(book), -1), index.reshape(len(book), -1)):
        for c in range(9):
            assert len(row[places == c].unique()) <= 1
        assert not row[places == 0].any()


def test_clusters_are_those_of_cluster() -> None:
    model = net()
    weight = model.conv.weight.detach().numpy().copy()
    dcz.torch.cluster_(model, n_bits=4, names=["conv.weight"])
    expected = dcz.cluster({"w": weight}, n_bits=4).tensors["w"]
    assert model.conv.weight.detach().numpy().tobytes() == expected.tobytes()
    assert not torch.nn.utils.parametrize.is_parametrized(model.fc)


def test_finalize_gives_plain_tensors() -> None:
    model = net()
    plain = net()
    dcz.torch.prune_(model, density=0.3)
    dcz.torch.cluster_(model, n_bits=4, names=["conv.weight", "up.weight"])
    step(model, OPTIMIZERS["adam"](model.parameters()))
    model.eval()
    x = torch.arange(12).view(2, 6)
    expected = model(x)
    fused = dcz.torch.fuse(model.state_dict())
    parameters = [id(p) for p in model.parameters()]
    assert dcz.torch.finalize_(model) is model
    assert type(model.conv) is nn.Conv1d and {id(p) for p in model.parameters()} == set(parameters)
    assert set(model.state_dict()) == set(plain.state_dict()) == set(fused)
    assert (model(x) == expected).all()
    for name, tensor in model.state_dict().items():
        assert (tensor == fused[name]).all() and tensor.dtype == fused[name].dtype
    for name in WEIGHTS:
        tensor = model.state_dict()[name]
        assert not torch.signbit(tensor[tensor == 0]).any()
    plain.load_state_dict(model.state_dict())
    dcz.torch.finalize_(model)  # a second time does nothing
    step(model, OPTIMIZERS["sgd"](model.parameters()))


@pytest.mark.parametrize("cluster", [False, True])
def test_checkpoints_in_the_middle_of_training(cluster: bool) -> None:
    model = net()
    dcz.torch.prune_(model, density=0.3)
    if cluster:
        dcz.torch.cluster_(model, n_bits=3)
    optimizer = OPTIMIZERS["momentum"](model.parameters())
    step(model, optimizer)
    state, state_of_optimizer = copy.deepcopy(model.state_dict()), copy.deepcopy(optimizer.state_dict())
    step(model, optimizer, 1)
    for fresh in (net(5), model):
        dcz.torch.resume_(fresh, state)
        again = OPTIMIZERS["momentum"](fresh.parameters())
        again.load_state_dict(copy.deepcopy(state_of_optimizer))
        step(fresh, again, 1)
        if fresh is not model:
            for name, tensor in fresh.state_dict().items():
                assert (tensor == model.state_dict()[name]).all(), name


def test_tied_weights_stay_tied() -> None:
    class Tied(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed, self.head = nn.Embedding(64, 48), nn.Linear(48, 64, bias=False)
            self.head.weight = self.embed.weight

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.embed(x))

    torch.manual_seed(2)
    model = Tied()
    dcz.torch.prune_(model, density=0.5)
    assert (model.embed.weight == model.head.weight).all() and (model.head.weight == 0).float().mean() == 0.5
    dcz.torch.cluster_(model, n_bits=3)
    optimizer = torch.optim.Adam(model.parameters(), 0.01)
    assert len(list(model.parameters())) == 1
    model(torch.arange(8)).square().sum().backward()
    optimizer.step()
    assert (model.embed.weight == model.head.weight).all() and len(model.head.weight.unique()) == 9
    state, expected = model.state_dict(), model.head.weight.detach().clone()
    fresh = Tied()
    dcz.torch.resume_(fresh, state)
    assert (fresh.head.weight == expected).all() and (fresh.embed.weight == expected).all()
    dcz.torch.finalize_(model)
    assert model.embed.weight is model.head.weight and (model.head.weight == expected).all()


def test_masks_of_torch_are_fused() -> None:
    from torch.nn.utils import prune

    layer = nn.Linear(20, 10)
    prune.l1_unstructured(layer, "weight", 0.7)
    fused = dcz.torch.fuse(layer.state_dict())
    assert set(fused) == {"weight", "bias"} and (fused["weight"] == layer.weight).all()
    assert not torch.signbit(fused["weight"][fused["weight"] == 0]).any()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_dtypes(dtype: torch.dtype) -> None:
    layer = nn.Linear(64, 64).to(dtype)
    dcz.torch.prune_(layer, density=0.5)
    dcz.torch.cluster_(layer, n_bits=3)
    assert layer.weight.dtype == dtype and len(layer.weight.detach().float().unique()) == 9
    assert dcz.torch.finalize_(layer).weight.dtype == dtype


def test_assigning_a_weight_finds_the_nearest_codebook() -> None:
    layer = nn.Linear(64, 64)
    dcz.torch.cluster_(layer, n_bits=3)
    old = layer.weight.detach().clone()
    layer.weight = old * 2
    torch.testing.assert_close(layer.weight.detach(), old * 2)


def test_many_clusters() -> None:
    layer = nn.Linear(64, 64)
    dcz.torch.cluster_(layer, n_bits=8)
    assert layer.parametrizations.weight[0].index.dtype == torch.int32
    assert len(layer.weight.detach().unique()) == 256


def test_a_nearly_full_precision_codebook_trains_as_the_weights_do() -> None:
    """A codebook with a cluster for each weight: the same steps as without."""
    torch.manual_seed(3)
    layer = nn.Linear(48, 48, bias=False)
    plain = copy.deepcopy(layer)
    dcz.torch.cluster_(layer, n_bits=16)
    x = torch.randn(8, 48)
    for each in (layer, plain):
        optimizer = torch.optim.SGD(each.parameters(), 0.1)
        for _ in range(3):
            optimizer.zero_grad()
            each(x).square().sum().backward()
            optimizer.step()
    torch.testing.assert_close(layer.weight, plain.weight)


def test_what_does_not_work_is_said() -> None:
    model = net()
    dcz.torch.cluster_(model, n_bits=3)
    with pytest.raises(DczError, match="'conv.weight': is clustered already; prune first"):
        dcz.torch.prune_(model, density=0.5, names=["conv.weight"])
    with pytest.raises(DczError, match="is clustered already; call finalize_"):
        dcz.torch.cluster_(model, n_bits=2)
    with pytest.raises(DczError, match="'emb' matches none of the .* tensors; near it: embed.weight"):
        dcz.torch.prune_(net(), density=0.5, names="emb")
    broken = net()
    with torch.no_grad():
        broken.conv.weight[0, 0, 0] = float("nan")
    before = copy.deepcopy(broken.state_dict())
    with pytest.raises(DczError, match="tensor 'conv.weight': has NaN or infinity"):
        dcz.torch.prune_(broken, density=0.5)
    assert list(broken.state_dict()) == list(before)
    with pytest.raises(DczError, match="the checkpoint has clustered weights for 'weight', which the model lacks"):
        layer = nn.Linear(64, 64)
        dcz.torch.cluster_(layer, n_bits=3)
        dcz.torch.resume_(model, layer.state_dict())


def test_layers_that_torch_cannot_parametrize_are_left_alone() -> None:
    model = nn.ModuleDict(
        {"rnn": nn.LSTM(64, 64), "embed": nn.Embedding(64, 64, max_norm=1.0), "fc": nn.Linear(64, 64)}
    )
    touched = dcz.torch.prune_(model, density=0.5)
    assert list(touched.density) == ["fc.weight"]
    assert "recurrent" in touched.skipped["rnn.weight_ih_l0"] and "max_norm" in touched.skipped["embed.weight"]
    numbers = model["rnn"](torch.zeros(1, 1, 64))[0]
    assert numbers.shape == (1, 1, 64)


def test_a_pruned_and_clustered_model_is_small() -> None:
    model = net()
    dcz.torch.prune_(model, density=0.1, weight_threshold=0)
    dcz.torch.cluster_(model, n_bits=4, weight_threshold=0)
    arrays = {name: tensor.numpy() for name, tensor in dcz.torch.fuse(model.state_dict()).items()}
    packed = dcz.save(arrays)
    for name, array in dcz.load(packed).items():
        assert array.tobytes() == arrays[name].tobytes()
    assert len(packed) * 12 < sum(array.nbytes for array in arrays.values())
    assert np.count_nonzero(arrays["conv.weight"]) == round(arrays["conv.weight"].size * 0.1)
