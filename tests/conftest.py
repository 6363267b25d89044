"""Settings of every test: hypothesis tries the same examples each time, and a slow machine fails nothing."""

from hypothesis import settings

settings.register_profile("taixue", derandomize=True, deadline=None, print_blob=True)
settings.load_profile("taixue")
