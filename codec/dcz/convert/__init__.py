"""Other files in and out, one tensor at a time."""

from dcz.convert.formats import READABLE, WRITABLE, open_model, open_target
from dcz.convert.transfer import Transfer, transfer

__all__ = ["READABLE", "WRITABLE", "Transfer", "open_model", "open_target", "transfer"]
