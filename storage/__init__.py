"""Floor 1: the one SQLite file, the spool of large bodies, and all SQL there is.

database.py brings work to the file (writer.py: the thread in front of it) and is the only one that
begins a transaction; schema.py and migrations.py say what is in the file; data_dir.py, spool.py,
faults.py and errors.py are about what surrounds it. Every other module is a noun: plain functions
that take a Connection first. A message passes through them in this order:

    submissions.accept -> queue.claim -> queue.settle -> events.read -> retention.prune
"""
