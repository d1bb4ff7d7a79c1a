"""The executors that captured steps are tested with."""

import pytest

from tinyreg.captured import native, step


@pytest.fixture(autouse=True, scope="session")
def cache(tmp_path_factory):
    """Machine code goes to a folder of the tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TINYREG_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(params=["numpy", "native"])
def each_executor(request, monkeypatch):
    """Run a test with each executor as the one that is taken where none is asked for."""
    if request.param == "native" and native.missing():
        pytest.skip(native.missing())
    monkeypatch.setattr(step, "best", lambda: request.param)
    return request.param


@pytest.fixture
def by_numpy(monkeypatch):
    """Take the NumPy executor where none is asked for."""
    monkeypatch.setattr(step, "best", lambda: "numpy")
