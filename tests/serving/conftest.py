"""A client of the HTTP service, for the tests of its parts."""

import pytest


@pytest.fixture
def client():
    from .served import serving  # with FastAPI: only for those who ask

    with serving(version="abc") as client:
        yield client
