"""Floor 1: mta.toml read into frozen settings.

`settings` is the whole vocabulary, one dataclass a table; `loader` fills the dataclasses from TOML;
`units` reads single values (durations, sizes, endpoints, networks); `advice` says what is legal but
unwise.
"""
