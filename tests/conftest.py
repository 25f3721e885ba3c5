"""Settings for all tests."""

import os

from hypothesis import settings

# Tests start hundreds of processes, and each would compile everything anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

# Machines that run tests are shared and noisy: no property is about time, so none may fail on it.
settings.register_profile("default", deadline=None, max_examples=100)
settings.load_profile("default")
