"""The runner that a caller's `client` stands for."""

from __future__ import annotations

from typing import Any

from dcz.jobs.local import Local
from dcz.jobs.tasks import Runner


def runner_for(client: Any) -> Runner:
    """Return this process where there is no client, else its workers, after checking their versions."""
    if client is None:
        return Local()
    from dcz.jobs.cluster import Cluster

    return Cluster(client)
