"""Where the bytes go: tables of what is stored, and of what every layout would take."""

from dcz.report.comparison import compare
from dcz.report.storage import StorageReport, TensorStorage
from dcz.report.stored import StoredFile, StoredTensor, stored_file

__all__ = ["StorageReport", "StoredFile", "StoredTensor", "TensorStorage", "compare", "stored_file"]
