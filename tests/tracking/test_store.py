"""Where runs are kept, and whether it can be asked."""

import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from mlflow.exceptions import MlflowException
from mlflow.protos.databricks_pb2 import PERMISSION_DENIED
from sqlalchemy.exc import OperationalError

from pipeline.tracking import store


def test_a_password_is_taken_out_of_a_message():
    shown = store.without_password("POST https://me:secret@tracking.example/api failed; see https://example.org")
    assert shown == "POST https://tracking.example/api failed; see https://example.org"


@pytest.fixture
def served(monkeypatch):
    """Answers HTTP with the statuses of a list, one after the other, the last for ever; silence for None."""
    servers = []

    def start(*statuses):
        left = list(statuses)

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                status = left.pop(0) if len(left) > 1 else left[0]
                if status is None:
                    time.sleep(0.5)
                    return
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_):
                pass

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://me:secret@127.0.0.1:{servers[-1].server_port}")

    monkeypatch.setattr(store, "ANSWER", 0.1)
    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize(
    ("name", "statuses", "fault"),
    [
        ("it answers", [200], ""),
        ("it wants a password", [401], ""),
        ("it has no such page", [404], ""),
        ("it sends us elsewhere", [302], ""),
        ("it is broken", [503], "it answers with status 503"),
        ("it starts up", [503, 200], ""),
        ("it is silent", [None], "no answer within 0.1 s"),
    ],
)
def test_whether_a_server_can_be_asked(served, name, statuses, fault):
    served(*statuses)
    assert store.unreachable() == fault


@pytest.mark.parametrize(
    ("name", "uri", "fault"),
    [
        ("a file", "sqlite:////nowhere/mlflow.db", ""),
        ("none set", "", ""),
        ("nobody listens", "http://127.0.0.1:{port}", "connection refused"),
        ("no database listens", "postgresql://me:secret@127.0.0.1:{port}/mlflow", "connection refused"),
        ("with a driver", "mysql+pymysql://me@127.0.0.1:{port}/mlflow", "connection refused"),
        ("a scheme that is not ours to know", "databricks://profile", ""),
    ],
)
def test_whether_an_address_can_be_asked(monkeypatch, name, uri, fault):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri.format(port=port))
    assert store.unreachable() == fault


def test_a_server_without_a_name_is_said(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:secret@nowhere.invalid:5000")
    fault = store.unreachable()
    assert fault
    with pytest.raises(store.UnreachableError) as caught, store.asking():
        pass
    assert str(caught.value) == f"MLflow at http://nowhere.invalid:5000 cannot be asked: {fault}"


@pytest.mark.parametrize(
    ("name", "error", "kind"),
    [
        ("the server's own", MlflowException("too many 500 error responses"), store.UnreachableError),
        ("the server's database", OperationalError("select", {}, Exception("gone")), store.UnreachableError),
        ("the connection", requests.exceptions.ConnectionError("reset"), store.UnreachableError),
        ("what it refuses", MlflowException("no permission", PERMISSION_DENIED), store.TrackingError),
    ],
)
def test_what_may_pass_and_what_does_not(served, monkeypatch, name, error, kind):
    served(200)
    monkeypatch.setattr(store, "connect", lambda: None)
    with pytest.raises(store.TrackingError) as caught, store.asking():
        raise error
    assert type(caught.value) is kind


def test_what_a_file_of_ones_own_refuses_does_not_pass(monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "sqlite:////nowhere/mlflow.db")
    monkeypatch.setattr(store, "connect", lambda: None)
    with pytest.raises(store.TrackingError, match="unable to open") as caught, store.asking():
        raise OperationalError("select", {}, Exception("unable to open database file"))
    assert type(caught.value) is store.TrackingError
