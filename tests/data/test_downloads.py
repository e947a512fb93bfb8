import socket

import pytest

from bigmodel_cli.data import downloads
from bigmodel_cli.data.downloads import unreachable


def test_a_host_that_never_answers_is_not_waited_for(monkeypatch):
    import threading

    silence = threading.Event()

    def refuse():
        silence.wait(30)
        raise OSError

    monkeypatch.setattr(downloads, "CONNECTION_SECONDS", 0.05)
    monkeypatch.setattr(socket, "create_connection", lambda address, timeout: refuse())
    for variable in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    assert unreachable("https://example.org/data.zip") == "example.org"
    silence.set()


def test_the_proxy_is_what_must_answer(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert unreachable("https://example.org/data.zip") is None


@pytest.mark.parametrize("address", ["", "gs://bucket/file", "/some/file"])
def test_only_hosts_can_be_asked(address):
    assert unreachable(address) is None
