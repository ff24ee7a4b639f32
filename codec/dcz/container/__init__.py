"""The file: prelude, segments, index, trailer; written in one pass, read at random (SPEC 6 and 7)."""

from dcz.container.info import TensorInfo
from dcz.container.opening import open_file
from dcz.container.reader import Reader
from dcz.container.sharded import ShardedReader
from dcz.container.verification import verify
from dcz.container.writer import Writer

__all__ = ["Reader", "ShardedReader", "TensorInfo", "Writer", "open_file", "verify"]
