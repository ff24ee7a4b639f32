"""A comparison as one self-contained HTML page."""

from dcz.report.page.document import build, check_library, write

__all__ = ["build", "check_library", "write"]
