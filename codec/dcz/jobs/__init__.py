"""Jobs: models that are packed, unpacked, verified or compared in tasks, by this process or by the workers of a Dask
cluster; packing and unpacking go on where an earlier run ended."""

from dcz.jobs.checking import compare, verify
from dcz.jobs.conversion import Done
from dcz.jobs.packing import pack, unpack

__all__ = ["Done", "compare", "pack", "unpack", "verify"]
