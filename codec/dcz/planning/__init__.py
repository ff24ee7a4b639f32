"""Density and bit-width of each tensor: measured by the codec, chosen for a size or an accuracy."""

from dcz.planning.outcome import Planned, PlannedTensor, Plans
from dcz.planning.planner import plan
from dcz.planning.points import DENSITIES, N_BITS, STEPS, Tries, check_grid
from dcz.planning.sweep import Reading, Sensitivity, check_plot, sensitivity
from dcz.planning.targets import check_base, check_target

__all__ = [
    "DENSITIES",
    "N_BITS",
    "Planned",
    "PlannedTensor",
    "Plans",
    "Reading",
    "STEPS",
    "Sensitivity",
    "Tries",
    "check_base",
    "check_grid",
    "check_plot",
    "check_target",
    "plan",
    "sensitivity",
]
