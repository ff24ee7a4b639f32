"""External links of the README and the pages, each with the places that it is in; what is wrong with their form.

python docs/tools/links.py             # lists them; exit code 1 where one has a wrong form
python docs/tools/links.py --check     # asks each server as well: a network is needed
"""

from __future__ import annotations

import re
import sys
import urllib.error
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

ROOT = Path(__file__).parents[2]
# In angle brackets, in parentheses after a text, in quotes of HTML, or bare.
_LINK = re.compile(r"https?:[^\s<>\"')\]`]*")


def pages() -> list[Path]:
    """Pages that people read."""
    found = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "spec").glob("*.md")]
    return sorted([*found, *(ROOT / "examples").glob("*.md"), *(ROOT / "codec").glob("*/README.md")])


def links(text: str) -> list[str]:
    """Links to other sites, but for those in code."""
    text = re.sub(r"^```.*?^```$", "", text, flags=re.MULTILINE | re.DOTALL)
    return [link.rstrip(".,;:") for link in _LINK.findall(re.sub(r"`[^`\n]*`", "", text))]


def wrong(link: str) -> str:
    """What is wrong with a link's form; an empty string if nothing is."""
    try:
        parts = urlsplit(link)
    except ValueError as error:
        return str(error)
    if parts.scheme != "https":
        return "not https"
    if not re.fullmatch(r"([a-z0-9-]+\.)+[a-z]{2,}", parts.netloc):
        return f"{parts.netloc!r} is not a public host"
    return ""


def answer(link: str) -> str:
    """What the server says; an empty string if the page is there."""
    request = urllib.request.Request(link, method="HEAD", headers={"User-Agent": "Mozilla/5.0"})
    try:
        with urllib.request.urlopen(request, timeout=20):
            return ""
    except (urllib.error.URLError, OSError) as error:
        return str(error)


def main(check: bool) -> int:
    """Lists all links; 1 where one is wrong."""
    found: dict[str, list[str]] = {}
    for page in pages():
        for link in links(page.read_text()):
            found.setdefault(link, []).append(str(page.relative_to(ROOT)))
    faults = {link: wrong(link) or (answer(link) if check else "") for link in sorted(found)}
    for link, fault in faults.items():
        print(f"{link}  {', '.join(dict.fromkeys(found[link]))}" + (f"  WRONG: {fault}" if fault else ""))
    return int(any(faults.values()))


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
