"""Moments of PyTorch's recurrent layers, against those of their own cells run step by step."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import dcz
from support.frameworks import framework, integration

torch = framework("torch")
dcz_torch = integration("torch")
from torch import nn

CELLS = {nn.LSTM: nn.LSTMCell, nn.GRU: nn.GRUCell, nn.RNN: nn.RNNCell}


def second(vectors: torch.Tensor) -> np.ndarray:
    rows = vectors.detach().reshape(-1, vectors.shape[-1]).double().numpy()
    return rows.T @ rows / len(rows)


def stepped(module: Any, x: torch.Tensor) -> dict[str, torch.Tensor]:
    """What each weight is multiplied by, for x of shape (steps, batch, inputs) and states that begin at zero."""
    out = {}
    for layer in range(module.num_layers):
        ys = []
        for at in range(2 if module.bidirectional else 1):
            end = f"_l{layer}{'_reverse' if at else ''}"
            cell = CELLS[type(module)](x.shape[-1], module.hidden_size)
            cell.load_state_dict({leaf: getattr(module, leaf + end) for leaf in cell.state_dict()})
            state, before, after = None, [], []
            for step in x.flip(0) if at else x:
                before.append(torch.zeros(len(step), module.hidden_size) if state is None else _hidden(state))
                state = cell(step, state)
                after.append(_hidden(state))
            out[f"weight_ih{end}"], out[f"weight_hh{end}"] = x, torch.stack(before)
            ys.append(torch.stack(after[::-1] if at else after))
        x = torch.cat(ys, -1)
    return out


def _hidden(state: Any) -> torch.Tensor:
    return state[0] if isinstance(state, tuple) else state


@pytest.mark.parametrize("kind", list(CELLS))
@pytest.mark.parametrize("both", [False, True])
def test_layers(kind: type, both: bool) -> None:
    torch.manual_seed(0)
    module = kind(3, 4, 2, bidirectional=both, batch_first=both, dropout=0.5)
    x = torch.randn(6, 2, 3)
    state = torch.get_rng_state()
    found = dcz_torch.calibrate(module, [x.transpose(0, 1) if both else x])
    assert torch.equal(torch.get_rng_state(), state) and module.training
    wanted = stepped(module, x)
    assert set(found) == set(wanted)
    for name, vectors in wanted.items():
        assert np.allclose(found[name].blocks[0][0], second(vectors), rtol=1e-4, atol=1e-6), name
        assert found[name].bias == name.replace("weight", "bias")
    tensors = {name: tensor.detach().numpy() for name, tensor in module.named_parameters()}
    small = dcz.compress(tensors, {"step": 0.4, "weight_threshold": 0}, calibration=found)
    assert all(small.reports[name].output_error for name in wanted)


@pytest.mark.filterwarnings("ignore:LSTM with projections")
def test_states_that_are_given() -> None:
    x, h, c = torch.randn(5, 3), torch.randn(1, 2), torch.randn(1, 4)
    found = dcz_torch.calibrate(nn.LSTM(3, 4, proj_size=2), [(x, (h, c))], names=[""])
    assert found["weight_hh_l0"].inputs == 2 and found["weight_hh_l0"].count == 5
    alone = dcz_torch.calibrate(nn.LSTM(3, 4, proj_size=2), [(x[:1], (h, c))])
    assert np.allclose(alone["weight_hh_l0"].blocks[0][0], second(h), rtol=1e-5)


@pytest.mark.filterwarnings("ignore:no sample reached")
def test_cells_and_packed_sequences() -> None:
    x, state = torch.randn(7, 3), torch.randn(7, 4)
    found = dcz_torch.calibrate(nn.GRUCell(3, 4), [(x, state)])
    assert np.allclose(found["weight_ih"].blocks[0][0], second(x), rtol=1e-5)
    assert np.allclose(found["weight_hh"].blocks[0][0], second(state), rtol=1e-5)
    packed = nn.utils.rnn.pack_padded_sequence(torch.randn(5, 2, 3), [5, 3])
    assert dcz_torch.calibrate(nn.GRU(3, 4), [packed], run=lambda model, batch: model(batch)).unreached
