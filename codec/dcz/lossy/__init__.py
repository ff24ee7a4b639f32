"""The lossy step: prune, cluster, and both by a recipe. It knows weights, and nothing of files or bytes.

The package is not named `compress`: importing it would shadow the function `dcz.compress`."""

from dcz.lossy.clustering import Clustered, cluster
from dcz.lossy.clusters import Clusters
from dcz.lossy.compression import Compressed, TensorReport, compress
from dcz.lossy.config import ClusterConfig, PruneConfig
from dcz.lossy.distortion import Fidelity, fidelity
from dcz.lossy.moments import Calibration, Moments
from dcz.lossy.pruning import Pruned, prune
from dcz.lossy.recipe import Recipe

__all__ = [
    "Calibration",
    "ClusterConfig",
    "Clustered",
    "Clusters",
    "Compressed",
    "Fidelity",
    "Moments",
    "PruneConfig",
    "Pruned",
    "Recipe",
    "TensorReport",
    "cluster",
    "compress",
    "fidelity",
    "prune",
]
