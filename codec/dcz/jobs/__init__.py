"""Jobs: models packed, unpacked, verified, compared or planned for in tasks, by this process or by the workers of a
Dask cluster; packing and unpacking go on where an earlier run ended."""

from dcz.jobs.checking import compare, verify
from dcz.jobs.conversion import Done
from dcz.jobs.packing import pack, unpack
from dcz.jobs.planning import plan

__all__ = ["Done", "compare", "pack", "plan", "unpack", "verify"]
