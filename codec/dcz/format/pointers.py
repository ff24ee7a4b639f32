"""Files saved as weights that are none: pointers of version control, pages and messages of servers."""

from __future__ import annotations

import re

_FETCH = "fetch the file again, by its download link and, where it is not public, with a token"
# No format begins with these: pointers in place of files, and answers of servers.
POINTERS: tuple[tuple[bytes, str, str], ...] = (
    (rb"version https://git-lfs\.github\.com/spec/", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
    (rb"version https://hawser\.github\.com/spec/", "a Git LFS pointer", "fetch the file itself: git lfs pull"),
    (rb"(?:\.\./)*\.git/annex/objects/|/annex/objects/", "a git-annex pointer", "fetch the file itself: git annex get"),
    (rb"# xet version ", "a Xet pointer", "fetch the file itself: git xet pull, or git lfs pull"),
    (rb"(?i)(?:\xef\xbb\xbf)?\s*(?:<!--.*?-->\s*)?<(?:!doctype\s+html|html|head|body)\b", "a web page (HTML)", _FETCH),
    (rb"(?i)(?:\xef\xbb\xbf)?\s*<\?xml.{0,100}?>\s*<Error>", "a server's error message (XML)", _FETCH),
    (rb'\s*\{\s*"(?:error|message|detail)"\s*:', "a server's error message (JSON)", _FETCH),
    (rb"(?:Entry|Repository|File) not found\s*\Z|Invalid (?:username|credentials)", "a server's error message", _FETCH),
)


def pointer(head: bytes) -> tuple[str, str] | None:
    """Return what a file with these first bytes is, and the remedy; None where it is none of them."""
    for pattern, what, remedy in POINTERS:
        if re.match(pattern, head, re.DOTALL):
            return what, remedy
    return None
