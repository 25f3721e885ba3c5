"""The command line `mta`: one file per noun, composed from storage, config and the engine's parts.

`main` is the entry, `environment` gives every command its settings and storage, `output` is the
only place that prints, `failure` the only place that turns errors into exit codes.
"""
