"""Which density and bit-width for which tensor: measured by the codec, chosen for a size or an accuracy."""

from dcz.planning.outcome import Planned, PlannedTensor
from dcz.planning.planner import plan
from dcz.planning.sweep import Reading, Sensitivity, sensitivity

__all__ = ["Planned", "PlannedTensor", "Reading", "Sensitivity", "plan", "sensitivity"]
