"""The options of pytest for gradient checks: how long to search, and on which backends.

It is an entry point of the package, so pytest has them wherever tinyreg is installed. It stands outside of the package, and
imports nothing until they are given: a run of tests that have nothing to do with tinyreg does not load it.
"""

from __future__ import annotations

from typing import Any


def pytest_addoption(parser: Any) -> None:
    """Add `--tinyreg-profile` and `--tinyreg-backend`."""
    group = parser.getgroup("tinyreg", "gradient checks of tinyreg.testing")
    group.addoption("--tinyreg-profile", choices=("fast", "ci", "deep"), help="how many examples each check draws")
    group.addoption("--tinyreg-backend", metavar="NAME", help="compare this backend with NumPy, not all that work")


def pytest_configure(config: Any) -> None:
    """Apply the options that were given."""
    profile, backend = config.getoption("--tinyreg-profile"), config.getoption("--tinyreg-backend")
    if profile or backend:
        from tinyreg.testing import use_backend, use_profile

        if profile:
            use_profile(profile)
        if backend:
            use_backend(backend)
