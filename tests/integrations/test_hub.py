"""`dcz.hub`: folders and repos of the hub, and one tensor of a repo by its address.

huggingface_hub reads its endpoint once, so each repo is read in a process of its own, from a server of the hub's
endpoints on this machine.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support.frameworks import run_program
from support.hub_server import Hub, serving
from support.tiny_models import equal, library, llama

torch = library("torch")
library("huggingface_hub")

import dcz
import dcz.hub
from dcz.convert.folder import convert_folder

pytestmark = pytest.mark.filterwarnings("ignore")


def net(width: int = 64) -> Any:
    return torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.ReLU(), torch.nn.Linear(width, 8))


def same(a: Any, b: Any) -> bool:
    left, right = a.state_dict(), b.state_dict()
    return list(left) == list(right) and all(equal(left[name], right[name]) for name in left)


# -- folders


@pytest.mark.parametrize("size", ["5GB", "10KB", 1])
def test_models_come_back(tmp_path: Path, size: int | str) -> None:
    model = net()
    dcz.hub.save_model(model, tmp_path / "model", max_shard_size=size, metadata={"step": 3})
    names = sorted(os.listdir(tmp_path / "model"))
    count = {"5GB": 1, "10KB": 2, 1: 4}[size]
    assert len(names) == (1 if count == 1 else count + 1)
    with dcz.open(tmp_path / "model" / names[-1]) as reader:
        assert reader.metadata["format"] == "pt" and reader.metadata["step"] == 3
    again = net()
    assert dcz.hub.load_model(again, tmp_path / "model") == ([], []) and same(again, model)
    with torch.device("meta"):
        empty = net()
    dcz.hub.load_model(empty, tmp_path / "model", assign=True)
    assert same(empty, model)


def test_shards_are_those_of_the_hub(tmp_path: Path) -> None:
    """The same tensors in files of the same number as `save_torch_model` makes."""
    from huggingface_hub import save_torch_model

    (tmp_path / "own").mkdir()
    save_torch_model(net(), tmp_path / "own", max_shard_size="10KB")
    dcz.hub.save_model(net(), tmp_path / "model", max_shard_size="10KB")
    own = json.loads((tmp_path / "own" / "model.safetensors.index.json").read_text())
    mine = json.loads((tmp_path / "model" / "model.dcz.index.json").read_text())
    assert {name: file.replace("safetensors", "dcz") for name, file in own["weight_map"].items()} == mine["weight_map"]
    assert own["metadata"]["total_size"] == mine["metadata"]["total_size"]


def test_ties_and_state_dicts(tmp_path: Path) -> None:
    model = llama(tie_word_embeddings=True)
    dcz.hub.save_model(model.state_dict(), tmp_path, max_shard_size="50KB", name="tied")
    with dcz.open(tmp_path / "tied.dcz.index.json") as reader:
        assert len(reader) == len(model.state_dict()) and equal(
            torch.from_numpy(reader["lm_head.weight"]), model.lm_head.weight.detach()
        )
    again = llama(tie_word_embeddings=True)
    dcz.hub.load_model(again, tmp_path)
    assert same(again, model) and again.lm_head.weight is again.model.embed_tokens.weight


def test_saving_again_leaves_nothing_of_the_last(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("mine")
    for size, files in (("10KB", 3), ("5GB", 1), (1, 5), ("10KB", 3)):
        dcz.hub.save_model(net(), tmp_path, max_shard_size=size)
        assert len(os.listdir(tmp_path)) == files + 1
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    broken = {**net().state_dict(), "sparse": torch.eye(3).to_sparse()}
    with pytest.raises(dcz.UnsupportedError, match="'sparse'.*layout"):
        dcz.hub.save_model(broken, tmp_path)
    with pytest.raises(dcz.DczError, match="max_shard_size"):
        dcz.hub.save_model(net(), tmp_path, max_shard_size="a lot")
    with pytest.raises(dcz.DczError, match="not the beginning of a file name"):
        dcz.hub.save_model(net(), tmp_path, name="../model")
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_mixin(tmp_path: Path) -> None:
    class Net(torch.nn.Module, dcz.hub.DczHubMixin):
        def __init__(self, width: int = 4, bias: bool = True) -> None:
            super().__init__()
            self.layer = torch.nn.Linear(width, 2, bias=bias)

    model = Net(width=8, bias=False)
    model.save_pretrained(tmp_path / "model")
    assert sorted(os.listdir(tmp_path / "model")) == ["README.md", "config.json", "model.dcz"]
    again = Net.from_pretrained(tmp_path / "model")
    assert same(again, model) and not again.training and again.layer.bias is None
    with pytest.raises(RuntimeError, match="size mismatch"):
        Net.from_pretrained(tmp_path / "model", width=3)


def test_a_folder_lent(tmp_path: Path) -> None:
    import safetensors.torch

    model = net()
    dcz.hub.save_model(model, tmp_path / "model" / "encoder", max_shard_size="10KB")
    (tmp_path / "model" / "config.json").write_text("{}")
    (tmp_path / "model" / "code.py").write_text("raise SystemExit")
    with dcz.hub.unpacked(tmp_path / "model") as lent:
        assert sorted(os.listdir(lent)) == ["config.json", "encoder"]
        files = sorted((Path(lent) / "encoder").glob("*.safetensors"))
        found = {name: tensor for file in files for name, tensor in safetensors.torch.load_file(file).items()}
    assert not os.path.exists(lent)
    assert all(equal(found[name], tensor) for name, tensor in model.state_dict().items())
    with dcz.hub.unpacked(tmp_path / "model", "encoder") as lent:
        assert len(os.listdir(lent)) == 3
    with (
        pytest.raises(dcz.DczError, match="no folder 'decoder' in it"),
        dcz.hub.unpacked(tmp_path / "model", "decoder"),
    ):
        pass


def test_folders_that_hold_no_dcz_model(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    with pytest.raises(dcz.DczError, match="no weights in it"):
        dcz.hub.load_model(net(), tmp_path)
    save_file(net().state_dict(), tmp_path / "model.safetensors")
    for load in (lambda: dcz.hub.load_model(net(), tmp_path), lambda: dcz.hub.unpacked(tmp_path).__enter__()):
        with pytest.raises(dcz.DczError, match=r"no dcz weights in it, but model.safetensors.*dcz pack"):
            load()
    (tmp_path / "a.dcz").write_bytes(dcz.save({"w": np.ones(3)}))
    (tmp_path / "b.dcz").write_bytes(dcz.save({"w": np.ones(3)}))
    with pytest.raises(dcz.DczError, match="2 files could be the model's weights"):
        dcz.hub.load_model(net(), tmp_path)
    with pytest.raises(dcz.DczError, match="a file; name the folder"):
        dcz.hub.load_model(net(), tmp_path / "a.dcz")


# -- repos


@pytest.fixture
def hub() -> Iterator[Hub]:
    with serving() as server:
        yield server


ONE_TENSOR = """
import sys, warnings
warnings.simplefilter("ignore")
import dcz
with dcz.open("hf://user/repo/model.dcz") as model:
    print(*model["w3"].ravel()[:3], len(model))
"""


def test_one_tensor_of_a_repo_by_two_requests(hub: Hub, tmp_path: Path) -> None:
    """The index and the tensor, however large the file is."""
    library("fsspec")
    rng = np.random.default_rng(0)
    tensors = {f"w{i}": rng.standard_normal((256, 256)).astype("float32") for i in range(20)}
    data = dcz.save(tensors)
    hub.repos["user/repo"] = {"model.dcz": data}
    found = run_program(ONE_TENSOR, **hub.environment(tmp_path)).split()
    assert [np.float32(value) for value in found[:3]] == [*tensors["w3"].ravel()[:3]] and found[3] == "20"
    ranges = hub.asked("model.dcz")
    assert len(ranges) == 2 and all(method == "GET" and asked for method, asked in ranges)
    sizes = [int(end) - int(start) + 1 for start, end in (asked[6:].split("-") for _, asked in ranges)]
    assert sum(sizes) < len(data) / 4


WHOLE_MODEL = """
import os, sys, torch, transformers
import dcz.hub, dcz.transformers
transformers.utils.logging.disable_progress_bar()
model = dcz.transformers.from_pretrained(transformers.AutoModelForCausalLM, "user/repo")
print(float(sum(tensor.double().sum() for tensor in model.parameters())), model.name_or_path)
with dcz.hub.unpacked("user/repo", local_files_only=True) as lent:
    print(*sorted(os.listdir(lent)))
try:
    dcz.transformers.from_pretrained(transformers.AutoModelForCausalLM, "user/safetensors")
except dcz.DczError as error:
    print(type(error).__name__, str(error).partition(";")[0])
try:
    dcz.transformers.from_pretrained(transformers.AutoModelForCausalLM, "user/half")
except dcz.DczError as error:
    print(type(error).__name__, str(error).rpartition(": ")[2])
"""


PUSHED = """
import torch, dcz.hub

class Net(torch.nn.Module, dcz.hub.DczHubMixin):
    def __init__(self, width: int = 4):
        super().__init__()
        self.layer = torch.nn.Linear(width, 2)

net = Net(width=8)
net.push_to_hub("user/net", token="hf_none")
again = Net.from_pretrained("user/net")
print(torch.equal(again.layer.weight, net.layer.weight), again.layer.in_features)
"""


def test_a_mixin_pushes_dcz_files(hub: Hub, tmp_path: Path) -> None:
    assert run_program(PUSHED, **hub.environment(tmp_path)) == "True 8\n"
    files = hub.repos["user/net"]
    assert sorted(files) == ["README.md", "config.json", "model.dcz"]
    assert dcz.load(files["model.dcz"])["layer.weight"].shape == (2, 8)


ABSENT = """
import torch, dcz.hub
for name, options in (("user/nothing", {}), ("user/repo", {"revision": "v9"})):
    try:
        dcz.hub.load_model(torch.nn.Linear(2, 2), name, **options)
    except dcz.DczError as error:
        print(error)
"""


def test_repos_and_revisions_that_are_not_there(hub: Hub, tmp_path: Path) -> None:
    hub.repos["user/repo"] = {"model.dcz": dcz.save({"w": np.ones(3)})}
    assert run_program(ABSENT, **hub.environment(tmp_path)).splitlines() == [
        "user/nothing: no such folder here, and no such repo that the hub lets you read",
        "user/repo: no such folder here, and no such repo at v9 that the hub lets you read",
    ]


def test_a_model_of_a_repo(hub: Hub, tmp_path: Path) -> None:
    """Weights in other formats and code are not downloaded, and shards that are missing are named."""
    library("transformers")
    model = llama()
    model.save_pretrained(tmp_path / "plain", max_shard_size="50KB")
    convert_folder(str(tmp_path / "plain"), str(tmp_path / "packed"), ".dcz")
    files = {path.name: path.read_bytes() for path in (tmp_path / "packed").iterdir()}
    others = {"model.safetensors": b"x" * 100, "code.py": b"raise SystemExit", "onnx/model.onnx": b"y" * 100}
    hub.repos["user/repo"] = {**files, **others}
    hub.repos["user/safetensors"] = {"config.json": files["config.json"], "model.safetensors": b"x"}
    gone = next(name for name in files if name.startswith("model-00002"))
    hub.repos["user/half"] = {name: data for name, data in files.items() if name != gone}
    found = run_program(WHOLE_MODEL, **hub.environment(tmp_path / "home")).splitlines()
    total = float(sum(tensor.double().sum() for tensor in model.parameters()))
    assert found[0] == f"{total} user/repo"
    names = [name.replace(".dcz", ".safetensors") for name in files]
    assert found[1].split() == sorted(names)
    assert found[2] == "DczError user/safetensors: no dcz files in this repo"
    assert found[3].startswith("FormatError") and gone in found[3] and "finish the download" in found[3]
    assert not any(hub.asked(name) for name in others)
