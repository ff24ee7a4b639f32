"""Which density and bit-width for which tensor: measured by the codec, chosen for a size or an accuracy."""

from dcz.planning.figure import check_plot
from dcz.planning.outcome import Planned, PlannedTensor
from dcz.planning.planner import plan
from dcz.planning.points import DENSITIES, N_BITS
from dcz.planning.sweep import Reading, Sensitivity, sensitivity

__all__ = [
    "DENSITIES",
    "N_BITS",
    "Planned",
    "PlannedTensor",
    "Reading",
    "Sensitivity",
    "check_plot",
    "plan",
    "sensitivity",
]
