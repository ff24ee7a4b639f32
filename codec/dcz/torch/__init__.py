"""The PyTorch face. `pip install 'dcz[torch]'`."""

from dcz.torch.trained import fuse
from dcz.torch.training import cluster_, finalize_, prune_, resume_

__all__ = ["cluster_", "finalize_", "fuse", "prune_", "resume_"]
