"""What the tests of this folder share: four finished runs, and a session that has opened one of them."""

import pytest
from explored_runs import of, write_runs

from petl_core.explore.state import Session, find_choices
from petl_core.runs import archive


@pytest.fixture(scope="session")
def places(tmp_path_factory) -> dict[str, str]:
    return write_runs(tmp_path_factory.mktemp("explored"))


@pytest.fixture(autouse=True)
def no_archive(monkeypatch, tmp_path):
    """An empty archive, in place of the committed one."""
    monkeypatch.setattr(archive, "ARCHIVE", tmp_path / "archive")
    archive.archived.cache_clear()
    yield
    archive.archived.cache_clear()


@pytest.fixture(scope="session")
def cache() -> dict:
    """Of opened models."""
    return {}


@pytest.fixture
def session(places, cache) -> Session:
    """One with the linear probe open."""
    session = Session(find_choices(places["runs_root"]), **places, progress=False)
    session.cache = cache
    session.open(session.choices[of(session, "linear_probe")])
    assert not session.message
    return session
