"""Tasks run in this process, one after the other; each uses all threads it is given."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from dcz.errors import DczError
from dcz.jobs.tasks import Ran, Task, persistently


class Local:
    """The runner without any workers."""

    workers = False

    def run(self, tasks: Sequence[Task], done: Callable[[int], None]) -> Ran:
        """Run the tasks in their order; one that fails stops none but those that need it."""
        ran = Ran()
        for task in tasks:
            if any(need not in ran.results for need in task.needs):
                continue
            try:
                ran.results[task.key] = persistently(task.work)
            except (DczError, OSError, MemoryError) as error:
                ran.errors[task.key] = error
            else:
                done(task.nbytes)
        return ran
