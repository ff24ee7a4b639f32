"""Models of transformers, diffusers, sentence-transformers and PEFT from packed folders, and to them.
`pip install 'dcz[transformers]'`.

`from_pretrained(AutoModel, folder)` takes the place of `AutoModel.from_pretrained(folder)`, and
`save_pretrained(model, folder)` that of `model.save_pretrained(folder)`. Nothing is imported by a name that stands in a
file, and nothing of the libraries is patched.
"""

from dcz.extras import require

require("transformers", "transformers", "dcz.transformers")
require("torch", "transformers", "dcz.transformers")

from dcz.transformers.loading import from_pretrained
from dcz.transformers.saving import save_pretrained

__all__ = ["from_pretrained", "save_pretrained"]
