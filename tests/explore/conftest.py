"""What the tests of this folder share: finished runs, and a session that has opened one of them."""

import pytest
from explored_runs import write_runs
from petl_core.explore.choices import find_choices
from petl_core.explore.opened import ExploreSettings
from petl_core.explore.session import Session


@pytest.fixture(scope="session")
def runs(tmp_path_factory) -> dict[str, str]:
    return write_runs(tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="session")
def cache() -> dict:
    """Of opened models."""
    return {}


@pytest.fixture
def session(runs, cache) -> Session:
    """One that has opened nothing yet."""
    return Session(ExploreSettings(**runs, progress=False), find_choices(runs["runs_root"]), cache)


@pytest.fixture
def choice_named(session):
    """A choice by the method of its run."""
    return lambda method: next(one for one in session.choices if one.run and one.run.config.method == method)


@pytest.fixture
def opened(session, choice_named) -> Session:
    """The session with the linear probe open."""
    session.open(choice_named("linear_probe"))
    assert not session.message
    return session
