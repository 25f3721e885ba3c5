"""An import's reader without a process: it reads the same rows, in this one."""

from __future__ import annotations

from collections.abc import Iterator

from control_api.import_reader import ImportReader, batch_from_json, batch_to_json
from control_api.import_rows import Batch, Job, read


class InlineReader(ImportReader):
    """Reads a file batch by batch when it is asked to."""

    def __init__(self, job: Job) -> None:
        super().__init__(job)
        self._batches: Iterator[Batch] = read(job)

    async def next(self) -> Batch | None:
        """Return the next batch, as it would come over the pipe; None at the end."""
        batch = next(self._batches, None)
        return None if batch is None else batch_from_json(batch_to_json(batch))
