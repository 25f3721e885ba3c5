"""Other services' APIs, answered by this server: one file a dialect, on the frame in base.py."""
