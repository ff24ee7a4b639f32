"""The lossy step: prune, cluster, and both by a recipe. It knows weights, and nothing of files or bytes."""

from dcz.lossy.clustering import Clustered, cluster
from dcz.lossy.clusters import Clusters
from dcz.lossy.fidelity import Fidelity, fidelity
from dcz.lossy.pruning import Pruned, prune

__all__ = ["Clustered", "Clusters", "Fidelity", "Pruned", "cluster", "fidelity", "prune"]
