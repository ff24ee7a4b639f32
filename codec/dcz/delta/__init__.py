"""Files that store a model as its differences to another, the base (SPEC, Deltas)."""

from dcz.delta.base import Base
from dcz.delta.decode import attach

__all__ = ["Base", "attach"]
