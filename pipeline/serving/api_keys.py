"""Who may use the HTTP API: whoever brings one of its keys, or everybody on this machine where there are none."""

from __future__ import annotations

import hmac
import ipaddress
from collections.abc import Callable, Mapping
from typing import Annotated

from fastapi import Depends, HTTPException
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from pipeline.serving.api_description import NO_KEY

KEYS = "ALPR_API_KEYS"

_bearer = HTTPBearer(auto_error=False, description=f"One of the server's {KEYS}")
_header = APIKeyHeader(name="X-API-Key", auto_error=False)


def keys_of(environment: Mapping[str, str]) -> tuple[str, ...]:
    """The API keys in ALPR_API_KEYS, with commas between."""
    return tuple(key for part in environment.get(KEYS, "").split(",") if (key := part.strip()))


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach the address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def guard(api_keys: tuple[str, ...]) -> Callable[..., None]:
    """A dependency that lets requests in that bring one of the keys, and all of them where there are none."""
    known = [key.encode() for key in api_keys]

    def let_in(
        bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
        key: Annotated[str | None, Depends(_header)],
    ) -> None:
        brought = (key or (bearer.credentials if bearer else "")).encode("latin-1")
        # A sum, not any(): each key is compared, and in full, so how long it takes tells nothing about them.
        if known and not sum(hmac.compare_digest(brought, one) for one in known):
            raise HTTPException(401, NO_KEY, {"WWW-Authenticate": "Bearer"})

    return let_in
