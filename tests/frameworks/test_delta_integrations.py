"""Differences to a base in PyTorch and JAX: living models in place, pytrees beside the base."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest

import dcz
from dcz.errors import BaseError, DczError
from support.pairs import delta


@pytest.fixture
def torch():
    return pytest.importorskip("torch", reason="needs PyTorch")


def test_a_living_model(torch) -> None:
    """Parameters, tied ones and buffers change where they are, and an optimizer goes on with them."""
    import dcz.torch as integration

    model = torch.nn.ModuleDict(
        {"a": torch.nn.Linear(40, 30), "b": torch.nn.Linear(40, 30), "n": torch.nn.BatchNorm1d(30)}
    )
    model["b"].weight = model["a"].weight
    model = model.to(torch.bfloat16)
    state = model.state_dict()
    new = {name: tensor.clone() for name, tensor in state.items()}
    new["a.weight"][3, :9] += 1
    new["b.weight"] = new["a.weight"]
    new["n.num_batches_tracked"] += 1
    new["n.running_mean"][2] = -0.0
    file = io.BytesIO()
    integration.save_delta(new, file, base=state)
    parameter, pointer = model["a"].weight, model["a"].weight.data_ptr()
    optimizer = torch.optim.SGD(model.parameters(), 0.1)
    integration.apply_delta(model, file.getvalue())
    assert model["a"].weight is model["b"].weight is parameter and parameter.data_ptr() == pointer
    assert any(each is parameter for each in optimizer.param_groups[0]["params"])
    for name, tensor in model.state_dict().items():
        assert torch.equal(tensor.reshape(-1).view(torch.uint8), new[name].reshape(-1).view(torch.uint8)), name
    with pytest.raises(BaseError, match="applied before"):
        integration.apply_delta(model, file.getvalue())
    assert integration.undo_delta(model, file.getvalue()) == 3
    assert not torch.equal(parameter.detach()[3], new["a.weight"][3])


def test_a_model_that_does_not_fit(torch) -> None:
    import dcz.torch as integration

    model = torch.nn.Linear(4, 3)
    state = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
    before = {name: array.copy() for name, array in state.items()}
    for new, reason in (
        ({**state, "new": np.ones(2)}, "'new'"),
        ({"weight": state["weight"] + 1}, "'bias': the result lacks it"),
        ({**state, "weight": state["weight"].reshape(4, 3) + 1}, "'weight'"),
        ({"bias": state["bias"], "renamed": state["weight"] + 0}, "'renamed'"),
    ):
        with pytest.raises(DczError, match=reason):
            integration.apply_delta(model, delta(new, state))
        assert all((model.state_dict()[name].numpy() == array).all() for name, array in before.items())


def test_a_dictionary_of_tensors(torch) -> None:
    import dcz.torch as integration

    tensors = {"w": torch.arange(2000, dtype=torch.float16), "gone": torch.ones(3), "old": torch.zeros(50)}
    new = {"w": tensors["w"].clone(), "renamed": tensors["old"].clone().reshape(5, 10), "new": torch.ones(2)}
    new["w"][7] = 1
    new["renamed"][0, 0] = 3
    file = io.BytesIO()
    integration.save_delta(new, file, base=tensors)
    pointers = tensors["w"].data_ptr(), tensors["old"].data_ptr()
    integration.apply_delta(tensors, file.getvalue())
    assert tensors.keys() == new.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in new.items())
    assert (tensors["w"].data_ptr(), tensors["renamed"].data_ptr()) == pointers
    with pytest.raises(DczError, match="contiguous and on the CPU"):
        integration.apply_delta({"w": torch.zeros(4, 4).T}, file.getvalue())


def test_bases_in_files(torch, tmp_path: Path) -> None:
    import dcz.torch as integration

    old, new = {"w": torch.zeros(3000)}, {"w": torch.zeros(3000)}
    new["w"][5] = 2
    integration.save_file(old, tmp_path / "old.dcz")
    integration.save_delta(new, tmp_path / "step.dcz", base=dcz.open(tmp_path / "old.dcz"))
    integration.apply_delta(old, tmp_path / "step.dcz")
    assert torch.equal(old["w"], new["w"])


def test_jax() -> None:
    jax = pytest.importorskip("jax", reason="needs JAX")
    import dcz.jax as integration

    old = {"layers": [{"w": jax.numpy.arange(3000, dtype="bfloat16")}, {"w": jax.numpy.ones(3)}]}
    new = {"layers": [{"w": old["layers"][0]["w"].at[9].set(0.5)}, old["layers"][1]]}
    file = io.BytesIO()
    saved = integration.save_delta(new, file, base=old)
    assert (saved.changes, saved.copied) == (1, 1)
    found = integration.apply_delta(old, file.getvalue())
    assert found["layers.0.w"][9] == 0.5 and old["layers"][0]["w"][9] == 9
    assert (found["layers.0.w"] == new["layers"][0]["w"]).all()
    with pytest.raises(BaseError):
        integration.apply_delta(new, file.getvalue())
    assert list(integration.apply_delta(old, file.getvalue(), nested=True)) == ["layers"]
