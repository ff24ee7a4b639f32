"""Modules of PyTorch made as small as their outputs allow."""

from __future__ import annotations

from pathlib import Path

import pytest

import dcz
from dcz.errors import DczError
from support.frameworks import framework, integration

torch = framework("torch")
dcz_torch = integration("torch")
from torch import nn


class Tied(nn.Module):
    """An embedding whose weights are those of the head, a norm with buffers, and outputs in a mapping."""

    def __init__(self) -> None:
        super().__init__()
        self.embed, self.norm = nn.Embedding(50, 48), nn.BatchNorm1d(48)
        self.hidden, self.head = nn.Linear(48, 48), nn.Linear(48, 50, bias=False)
        self.head.weight = self.embed.weight

    def forward(self, tokens: torch.Tensor) -> dict[str, object]:
        hidden = torch.relu(self.hidden(self.norm(self.embed(tokens).mean(1))))
        return {"logits": self.head(hidden), "tokens": tokens, "more": (hidden,)}


def batches(count: int = 8) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randint(0, 50, (32, 6), generator=generator) for _ in range(count)]


@pytest.fixture
def module() -> Tied:
    torch.manual_seed(0)
    return Tied()


def test_outputs_are_kept_and_the_module_too(module: Tied, tmp_path: Path) -> None:
    module.train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    found = dcz_torch.shrink(module, batches(), tmp_path / "small.dcz", keep=0.98)
    assert found.kept >= 0.98 and found.ratio > 3 and module.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in module.state_dict().items())
    small = Tied()
    dcz_torch.load_model(small, tmp_path / "small.dcz")
    assert dcz.load_file(tmp_path / "small.dcz")["head.weight"].tobytes() == found.tensors["embed.weight"].tobytes()
    tokens = batches(9)[-1]
    wanted, shown = module.eval()(tokens)["logits"], small.eval()(tokens)["logits"]
    assert torch.cosine_similarity(wanted.flatten(), shown.flatten(), dim=0) > 0.97
    with dcz.open(tmp_path / "small.dcz") as reader:
        assert reader.metadata["dcz.shrink"]["kept"] == found.kept


def test_a_score_of_the_users_own(module: Tied) -> None:
    seen = []

    def accuracy(model: nn.Module, given: list[torch.Tensor]) -> float:
        assert model is not module and not model.training
        seen.append(len(given))
        with torch.no_grad():
            agree = [model(b)["logits"].argmax(1) == module.eval()(b)["logits"].argmax(1) for b in given]
        return 0.8 * float(torch.cat(agree).float().mean())  # a model that is right in 80 of 100

    found = dcz_torch.shrink(module, batches(), keep=0.9, evaluate=accuracy)
    assert found.kept >= 0.9 and found.chosen.score >= 0.9 and set(seen) == {2}


def test_a_target_out_of_reach_writes_nothing(module: Tied, tmp_path: Path) -> None:
    with pytest.raises(DczError, match="keep: 1 of the score is out of reach: the finest of"):
        dcz_torch.shrink(
            module, batches(), tmp_path / "small.dcz", keep=1.0, evaluate=lambda model, given: _exact(model, module)
        )
    assert not list(tmp_path.iterdir())


def _exact(model: nn.Module, other: nn.Module) -> float:
    return 1.0 if torch.equal(model.hidden.weight, other.hidden.weight) else 0.5


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"batches": []}, "samples: found 0; at least 3 are needed"),
        ({"metric": "loss"}, "metric: 'loss' is unknown; expected one of cosine, correlation, top1"),
        ({"held_out": 0.5}, "held_out: expected a number in"),
        ({"keep": 2}, "keep: expected a number in"),
    ],
)
def test_bad_calls(module: Tied, changes: dict[str, object], message: str) -> None:
    with pytest.raises(DczError, match=message):
        dcz_torch.shrink(module, **{"batches": batches(), **changes})
