"""Other files in and out, one tensor at a time."""

from dcz.convert.formats import READABLE, SHAPED, WRITABLE, check_target, extension_of, open_model, open_target
from dcz.convert.shards import parse_size
from dcz.convert.transfers import Transfer, transfer

__all__ = [
    "READABLE",
    "SHAPED",
    "WRITABLE",
    "Transfer",
    "check_target",
    "extension_of",
    "open_model",
    "open_target",
    "parse_size",
    "transfer",
]
