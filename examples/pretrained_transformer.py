"""Round a transformer's weights, and choose the step by what its outputs lose. No training, no network.

The model is a tiny BERT of random weights, so that this runs anywhere; put yours in its place.

pip install '.[torch]' transformers && python pretrained_transformer.py
"""

import tempfile
from pathlib import Path

import torch
from transformers import BertConfig, BertModel

import dcz.torch

torch.manual_seed(0)
config = BertConfig(
    vocab_size=1000, hidden_size=64, num_hidden_layers=2, num_attention_heads=4, intermediate_size=128
)  # fmt: skip
model = BertModel(config).eval()
tokens = torch.randint(0, 1000, (4, 16))


def outputs() -> torch.Tensor:
    """What must not change much."""
    with torch.no_grad():
        return model(tokens).pooler_output


state = {name: tensor.numpy().copy() for name, tensor in model.state_dict().items()}
wanted = outputs()
dense = sum(array.nbytes for array in state.values())
for step in (0.1, 0.2, 0.4):  # in units of each tensor's root mean square
    rounded = dcz.cluster(state, method="grid", step=step).tensors
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.dcz"
        dcz.save_file(rounded, path)
        model.load_state_dict(dcz.torch.load_file(path))
        cosine = torch.nn.functional.cosine_similarity(outputs(), wanted).mean().item()
        print(f"step {step}: {dense / path.stat().st_size:.1f} times smaller, cosine {cosine:.4f}")
