"""The lossy step: prune, cluster, and both by a recipe. It knows weights, and nothing of files or bytes. (The room is not
called `compress`: importing it would put a module where the function `dcz.compress` is.)"""

from dcz.lossy.clustering import Clustered, cluster
from dcz.lossy.clusters import Clusters
from dcz.lossy.compression import Compressed, Done, compress
from dcz.lossy.fidelity import Fidelity, fidelity
from dcz.lossy.pruning import Pruned, prune
from dcz.lossy.recipe import Recipe

__all__ = [
    "Clustered",
    "Clusters",
    "Compressed",
    "Done",
    "Fidelity",
    "Pruned",
    "Recipe",
    "cluster",
    "compress",
    "fidelity",
    "prune",
]
