"""The pure kernel set: every kernel of the interface, from the modules beside this one."""

from __future__ import annotations

from dcz.kernels.pure.changes import change_jobs, list_job
from dcz.kernels.pure.checksum import crc32c, crc32c_rows
from dcz.kernels.pure.code import check_codes, code_lengths
from dcz.kernels.pure.gaps import gaps
from dcz.kernels.pure.jobs import codebook, run_jobs
from dcz.kernels.pure.order import compare
from dcz.kernels.pure.streams import decode, encode, histograms, lane_sizes
from dcz.kernels.pure.words import bitmap, merge, nonzeros, scan, split


class PureKernels:
    """The pure kernel set."""

    name = "pure"
    crc32c = staticmethod(crc32c)
    crc32c_rows = staticmethod(crc32c_rows)
    histograms = staticmethod(histograms)
    code_lengths = staticmethod(code_lengths)
    check_codes = staticmethod(check_codes)
    lane_sizes = staticmethod(lane_sizes)
    encode = staticmethod(encode)
    decode = staticmethod(decode)
    scan = staticmethod(scan)
    bitmap = staticmethod(bitmap)
    nonzeros = staticmethod(nonzeros)
    split = staticmethod(split)
    merge = staticmethod(merge)
    gaps = staticmethod(gaps)
    codebook = staticmethod(codebook)
    run_jobs = staticmethod(run_jobs)
    compare = staticmethod(compare)
    change_jobs = staticmethod(change_jobs)
    list_job = staticmethod(list_job)
