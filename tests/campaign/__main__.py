"""`python -m tests.campaign NAME`: runs one campaign, prints its figures and its faults."""

from __future__ import annotations

import argparse
import importlib
import sys

from tests import campaign as _package

sys.modules.setdefault("campaign", _package)  # as tests import it

from campaign.campaigns import CAMPAIGNS


def main() -> int:
    """Ends with 1 where there are faults."""
    rows = "\n".join(f"  {name:10} {about}" for name, about in CAMPAIGNS.items())
    parser = argparse.ArgumentParser(
        prog="python -m tests.campaign",
        description="Try to break dcz.\n\n" + rows,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("name", choices=list(CAMPAIGNS))
    parser.add_argument("--full", action="store_true", help="the full form; writes its figures to tests/RESULTS.md")
    parser.add_argument("--scale", type=float, default=1.0, help="do this part of what the full form does")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    from campaign import results

    result = importlib.import_module(f"campaign.{options.name}").run(options.full, options.scale, options.seed)
    print(results.line(options.name, result))
    for sentence in result.faults[:50]:
        print(f"fault: {sentence}")
    if options.full:
        results.record(options.name, result)
    return int(bool(result.faults))


if __name__ == "__main__":
    raise SystemExit(main())
