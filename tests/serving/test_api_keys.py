"""Who may use the API: those with a key, and without keys only this machine."""

import pytest

from pipeline.serving import api_keys
from pipeline.serving.api_keys import is_loopback, keys_of
from pipeline.serving.http import Settings

from .served import post, refusal, serving


def test_with_keys_only_those_who_bring_one_come_in():
    with serving(api_keys=("first", "zweiter-schlüssel")) as client:
        for headers in ({"X-API-Key": "first"}, {"Authorization": "Bearer first"}):
            assert post(client, headers=headers).status_code == 200
            assert client.get("/metrics", headers=headers).status_code == 200
        other = {"X-API-Key": "zweiter-schlüssel".encode()}
        assert post(client, headers=other).status_code == 200
        for headers in ({}, {"X-API-Key": "firs"}, {"Authorization": "Basic first"}, {"X-API-Key": ""}):
            answer = post(client, headers=headers)
            assert "API key" in refusal(answer, 401)
            assert answer.headers["www-authenticate"] == "Bearer"
            assert client.get("/metrics", headers=headers).status_code == 401
        for path in ("/", "/docs", "/healthz", "/readyz", "/openapi.json"):
            assert client.get(path).status_code == 200


def test_keys_are_compared_in_constant_time_and_all_of_them(monkeypatch):
    compared, real = [], api_keys.hmac.compare_digest
    monkeypatch.setattr(api_keys.hmac, "compare_digest", lambda a, b: compared.append((a, b)) or real(a, b))
    with serving(api_keys=("one", "two", "three")) as client:
        assert post(client, headers={"X-API-Key": "one"}).status_code == 200
    assert compared == [(b"one", key) for key in (b"one", b"two", b"three")]


def test_keys_from_the_environment():
    assert keys_of({}) == keys_of({"ALPR_API_KEYS": " , "}) == ()
    assert keys_of({"ALPR_API_KEYS": "a, b,,c"}) == ("a", "b", "c")
    assert "hidden" not in repr(Settings(api_keys=("hidden",)))


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.2", False),
        ("localhost.example.org", False),
        ("", False),
    ],
)
def test_without_keys_only_loopback(host, loopback):
    assert is_loopback(host) == loopback
    assert Settings(host=host, api_keys=("key",)).host == host
    if not loopback:
        with pytest.raises(ValueError, match="ALPR_API_KEYS"):
            Settings(host=host)
