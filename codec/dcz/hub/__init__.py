"""Models in repos of the Hugging Face hub, and in folders laid out like them. `pip install 'dcz[hub]'`.

`save_model` and `load_model` are `save_torch_model` and `load_torch_model` of huggingface_hub with dcz files,
`DczHubMixin` gives them to a class as `save_pretrained`, `from_pretrained` and `push_to_hub`, and `unpacked` lends a
folder of safetensors files to a library that reads nothing else. One tensor of a repo needs none of them:
`dcz.open("hf://user/repo/model.dcz")`.
"""

from dcz.extras import require

require("huggingface_hub", "hub", "dcz.hub")
require("torch", "hub", "dcz.hub")

from dcz.hub.mixin import DczHubMixin
from dcz.hub.models import load_model, save_model
from dcz.hub.staging import unpacked

__all__ = ["DczHubMixin", "load_model", "save_model", "unpacked"]
