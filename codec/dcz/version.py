"""The version of the package; that of the format is in `dcz.container.prelude`."""

__version__ = "0.1.0"
