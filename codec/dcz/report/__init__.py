"""Where the bytes go: tables of what is stored, before and after."""

from dcz.report.stored import StoredFile, StoredTensor, stored_file

__all__ = ["StoredFile", "StoredTensor", "stored_file"]
