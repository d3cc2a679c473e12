"""The service's two pages: one to drop a photo on, and one that describes the API."""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path

from fastapi.responses import FileResponse, HTMLResponse, Response

_HERE = Path(__file__).parent


def photo_page() -> Response:
    """The page to drop a photo on. It may run its own script and talk to this server, and nothing else."""
    text = (_HERE / "page.html").read_text(encoding="utf-8")
    script = text.partition("<script>")[2].partition("</script>")[0]
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = (
        f"default-src 'none'; script-src 'sha256-{digest}'; style-src 'unsafe-inline'; img-src blob: data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return HTMLResponse(text, headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"})


def docs_page() -> Response:
    """The API in short, and where there is internet Swagger UI."""
    return FileResponse(_HERE / "docs.html")
