"""Settings for all tests."""

from hypothesis import settings

# Machines that run tests are shared and noisy: no property is about time, so none may fail on it.
settings.register_profile("default", deadline=None, max_examples=100)
settings.load_profile("default")
