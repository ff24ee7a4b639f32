"""Calibration of PyTorch's models: what layers multiply, measured while the model runs."""

from __future__ import annotations

import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from support.frameworks import framework, integration

torch = framework("torch")
dcz_torch = integration("torch")
from torch import nn


class Network(nn.Module):
    """Convolutions of several kinds, a linear layer, and one that is never called."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 16, 3, padding=1)
        self.grouped = nn.Conv2d(16, 32, 3, stride=2, groups=4, padding="valid", dilation=2, bias=False)
        self.dropout = nn.Dropout(0.5)
        self.embed = nn.Embedding(10, 32)
        self.head = nn.Linear(32, 100)
        self.unused = nn.Linear(5, 6)

    def forward(self, image: torch.Tensor, *, number: torch.Tensor) -> torch.Tensor:
        hidden = torch.relu(self.grouped(torch.relu(self.first(image)))).mean((2, 3))
        return self.head(self.dropout(hidden + self.embed(number)))


@pytest.mark.filterwarnings("ignore:no sample reached")
def test_moments_predict_what_a_change_of_weights_does_to_the_outputs() -> None:
    torch.manual_seed(0)
    layers = [
        (nn.Conv1d(4, 6, 5, padding="same", padding_mode="circular"), (3, 4, 20)),
        (nn.Conv2d(4, 6, (3, 2), stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2), (2, 4, 9, 8)),
        (nn.Conv2d(4, 8, 3, groups=4, padding=2, padding_mode="reflect", bias=False), (2, 4, 9, 8)),
        (nn.Conv3d(2, 3, 2), (1, 2, 4, 5, 4)),
        (nn.ConvTranspose2d(3, 4, 2, stride=2), (2, 3, 5, 5)),
        (nn.Linear(7, 3), (2, 6, 7)),
    ]
    for layer, shape in layers:
        batch = torch.randn(shape)
        moments = dcz_torch.calibrate(layer, [batch])["weight"]
        before, weight = layer(batch).detach(), layer.weight.detach().numpy()
        change = np.random.default_rng(0).standard_normal(weight.shape).astype(np.float32) * 0.1
        with torch.no_grad():
            layer.weight += torch.from_numpy(change)
        difference = (layer(batch).detach() - before).double()
        outputs = difference.numel() / difference.shape[-1 if isinstance(layer, nn.Linear) else 1]
        places = moments.count if isinstance(layer, nn.ConvTranspose2d) else outputs
        wanted = float(difference.square().sum()) / places
        assert np.isclose(moments.squared(moments.matrix(change)), wanted, rtol=1e-3), layer
        assert moments.bias == ("bias" if layer.bias is not None and places == outputs else None)


def test_the_model_stays_as_it_is() -> None:
    torch.manual_seed(1)
    model = Network().train()
    model.first.eval()
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    batches = [{"image": torch.randn(2, 3, 12, 12), "number": torch.tensor([1, 2])} for _ in range(3)]
    with pytest.warns(UserWarning, match="no sample reached the layers of unused.weight; they are rounded without"):
        found = dcz_torch.calibrate(model, batches)
    assert set(found) == {"first.weight", "grouped.weight", "head.weight"} and found.unreached == ("unused.weight",)
    assert found["grouped.weight"].groups == 4 and found["head.weight"].count == 6
    assert modes == [module.training for module in model.modules()]
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert not any(module._forward_pre_hooks for module in model.modules())
    tensors = {name: tensor.numpy() for name, tensor in state.items()}
    small = dcz.compress(tensors, {"step": 0.5, "weight_threshold": 0}, calibration=found)
    assert small.reports["grouped.weight"].output_error is not None
    assert small.reports["unused.weight"].output_error is None and small.reports["embed.weight"].output_error is None


def test_it_stays_as_it_is_when_a_batch_fails() -> None:
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 6)).train()
    with pytest.raises(DczError, match=r"layer of '1.weight': inputs of shape \(1, 4\), its weight takes \(1, 5\)"):
        dcz_torch.calibrate(model, [torch.ones(2, 3)])
    assert model.training and not any(module._forward_pre_hooks for module in model.modules())


def test_ways_to_call() -> None:
    model, batch = nn.Linear(3, 4), torch.ones(2, 3)
    ways = [
        dcz_torch.calibrate(model, [batch]),
        dcz_torch.calibrate(model, [(batch,)]),
        dcz_torch.calibrate(model, [{"input": batch}]),
        dcz_torch.calibrate(model, [7], run=lambda module, number: module(batch)),
        dcz_torch.calibrate(nn.Sequential(model), [batch], names=["0"]),
    ]
    assert all(np.array_equal(next(iter(found.values())).blocks[0], np.ones((1, 3, 3))) for found in ways)


def test_the_conv1d_of_transformers() -> None:
    utils = pytest.importorskip("transformers.pytorch_utils", reason="needs transformers")
    layer = utils.Conv1D(6, 4)
    found = dcz_torch.calibrate(layer, [torch.randn(3, 4)])
    assert found["weight"].inputs_first and found["weight"].fits(tuple(layer.weight.shape))


@pytest.mark.parametrize(
    "model, batches, message",
    [
        (nn.Linear(3, 4), [], "batches: there are none"),
        (
            nn.ReLU(),
            [torch.ones(1)],
            "model: has no linear or recurrent layer or convolution whose inputs",
        ),
        (nn.Linear(3, 4), [torch.full((1, 3), torch.nan)], "layer of 'weight': its inputs have NaN or infinity; leave"),
    ],
)
def test_bad_calls(model: nn.Module, batches: list, message: str) -> None:
    with pytest.raises(DczError, match=message):
        dcz_torch.calibrate(model, batches)
