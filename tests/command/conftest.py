"""What these tests share."""

from support.command import dcz_

__all__ = ["dcz_"]
