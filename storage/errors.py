"""What can go wrong in storage, in terms of what the caller should do about it.

A door answers StorageFull with 452 4.3.1 or HTTP 507, and any other StorageError with 451 4.3.0 or
HTTP 503: nothing was accepted, except perhaps after a failed COMMIT (see StorageUnavailable).
"""
# ruff: noqa: N818 - the names say the condition

from __future__ import annotations


class StorageError(Exception):
    """Storage could not do what was asked; the message is one sentence for an operator."""


class StorageFull(StorageError):
    """The disk, or what may be used of it, is full. Nothing was written; try again later."""


class StorageUnavailable(StorageError):
    """The file cannot be used for now: an I/O error, a lock held too long, read-only, or closed.

    After an I/O error at COMMIT the work may or may not be on the disk; a restart decides which.
    """


class StorageCorrupt(StorageError):
    """The file is damaged or not a database."""


STORAGE_TROUBLE = (StorageFull, StorageUnavailable, StorageCorrupt)
"""What is wrong with storage itself. Any other error of a piece of work is that work's own."""


class SqliteTooOld(StorageError):
    """The SQLite library has a known fault that loses data."""


class SchemaTooNew(StorageError):
    """The file was written by a later release; this one must not touch it."""


class DataDirLocked(StorageError):
    """Another server works on this data directory; the message names its process id."""
