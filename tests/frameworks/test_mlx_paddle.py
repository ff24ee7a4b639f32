"""MLX and Paddle: modules there and back, and mismatches."""

from __future__ import annotations

import io

import numpy as np
import pytest

import dcz
from dcz.errors import DczError
from support.frameworks import bits, integration, make

X = np.linspace(-1, 1, 18, dtype=np.float32).reshape(3, 6)


def network(name: str, seed: int) -> object:
    if name == "mlx":
        import mlx.core as mx
        from mlx import nn

        mx.random.seed(seed)
        return nn.Sequential(nn.Linear(6, 5), nn.BatchNorm(5), nn.ReLU(), nn.Linear(5, 4)).eval()
    import paddle

    paddle.seed(seed)
    nn = paddle.nn
    model = nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1D(5), nn.ReLU(), nn.Linear(5, 4))
    model.eval()
    return model


def saved(name: str, model: object) -> bytes:
    file = io.BytesIO()
    integration(name).save_model(model, file)
    return file.getvalue()


@pytest.mark.parametrize("name", ["mlx", "paddle"])
def test_forward_passes_are_equal(name: str) -> None:
    own = integration(name)
    model, other, x = network(name, 1), network(name, 2), make(name, X)
    assert bits(name, model(x)) != bits(name, other(x))
    assert own.load_model(other, saved(name, model)) == ([], [])
    assert bits(name, model(x)) == bits(name, other(x))


@pytest.mark.parametrize("name", ["mlx", "paddle"])
def test_mismatches_change_nothing(name: str) -> None:
    own = integration(name)
    model, x = network(name, 1), make(name, X)
    before = bits(name, model(x))
    tensors = dcz.load(saved(name, network(name, 2)))
    key = next(each for each in tensors if each.endswith("0.weight"))
    for change, words in (
        ({"more": np.ones(2)}, "unexpected in the file: 'more'"),
        ({key: np.ones((7, 7), "f4")}, rf"'{key}' is float32 \(7, 7\)"),
        ({key: tensors[key].astype("f2")}, f"'{key}' is float16"),
    ):
        with pytest.raises(DczError, match=words):
            own.load_model(model, dcz.save({**tensors, **change}))
    assert bits(name, model(x)) == before
    result = own.load_model(model, dcz.save({key: tensors[key], "more": X}), strict=False)
    assert len(result.missing_keys) == len(tensors) - 1 and result.unexpected_keys == ["more"]
    assert bits(name, model(x)) != before
