"""Jobs: models that are packed, unpacked, verified or compared in tasks, by this process or by the workers of a Dask
cluster, and that go on where an earlier run ended."""

from dcz.jobs.conversion import Done
from dcz.jobs.packing import pack, unpack

__all__ = ["Done", "pack", "unpack"]
