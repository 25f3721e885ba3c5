"""Floor 0: pure decisions and the values they work on.

Nothing here reads a clock, draws randomness, opens a socket or a file, or logs:
now, jitter, ids and limits come in as arguments, decisions go out as values.
"""
