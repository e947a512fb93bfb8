"""Whether a download has a chance, found out before libraries try for minutes."""

from __future__ import annotations

import socket
import threading
import urllib.parse
import urllib.request
from contextlib import suppress

CONNECTION_SECONDS = 3.0
"""How long to wait for a host's answer."""


def unreachable(address: str) -> str | None:
    """The host of an http(s) address, if it or its proxy does not answer in `CONNECTION_SECONDS`."""
    url = urllib.parse.urlsplit(address)
    if url.hostname is None or url.scheme not in ("http", "https"):
        return None
    proxy = urllib.request.getproxies().get(url.scheme)
    if proxy is not None and not urllib.request.proxy_bypass(url.hostname):
        url = urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")
    port = url.port or {"http": 80, "https": 443}.get(url.scheme, 80)
    answered = []

    def connect() -> None:
        with suppress(OSError):
            socket.create_connection((url.hostname, port), timeout=CONNECTION_SECONDS).close()
            answered.append(True)

    # In a thread, because looking up a name has no time-out of its own.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECTION_SECONDS)
    return None if answered else url.hostname
