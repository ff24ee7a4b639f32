"""The version of the package; that of the format is in `dcz.format.trailer`."""

__version__ = "0.1.0"
