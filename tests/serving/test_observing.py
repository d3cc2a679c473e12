"""What the metrics and the log tell of the requests, and what they keep to themselves."""

import logging

from .served import PHOTO, form, post, serving


def figures(client):
    lines = (line for line in client.get("/metrics").text.splitlines() if line[0] != "#")
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def test_metrics_count_requests_pictures_and_plates(client):
    post(client)
    client.post("/v1/recognize", **form(("a", PHOTO), ("b", b"x")))
    post(client, b"")
    post(client, kind="text/html")
    client.get("/no/such/path")
    found = figures(client)
    assert found['alpr_requests_total{path="/v1/recognize",status="200"}'] == 2
    assert found['alpr_requests_total{path="/v1/recognize",status="400"}'] == 1
    assert found['alpr_requests_total{path="/v1/recognize",status="415"}'] == 1
    assert found['alpr_requests_total{path="other",status="404"}'] == 1
    assert found['alpr_pictures_total{outcome="recognized"}'] == 2
    assert found['alpr_pictures_total{outcome="failed"}'] == 2
    assert found['alpr_plates_total{outcome="read"}'] == found['alpr_plates_total{outcome="not read"}'] == 2
    assert found['alpr_request_seconds_count{path="/v1/recognize"}'] == 4
    assert found["alpr_batch_size_sum"] == 2
    assert found["alpr_queue_depth"] == 0
    assert found['alpr_model{name="alpr",version="abc"}'] == 1


def test_two_apps_count_apart(client):
    post(client)
    with serving() as other:
        assert "alpr_pictures_total" not in figures(other)


def logged(caplog, client, **more):
    caplog.clear()
    with caplog.at_level(logging.DEBUG):
        answer = client.post("/v1/recognize", **form(("AB123.jpg", PHOTO)), **more)
        client.get("/healthz")
        client.get("/a%0Ab")
    assert answer.json()["rows"][0]["plates"][0]["text"] == "AB123"
    return [one for one in caplog.records if one.name == "alpr.serve"]


def test_the_log_tells_no_plates_and_no_names(client, caplog):
    request, probe, strange = logged(caplog, client, params={"min_score": 0.1})
    line = request.getMessage()
    assert line.startswith("POST /v1/recognize 200 in ")
    assert line.endswith(" ms, 2 plates")
    assert "AB123" not in caplog.text
    assert "X1O" not in caplog.text
    assert (request.levelname, probe.levelname) == ("INFO", "DEBUG")
    assert strange.getMessage().startswith("GET /a%0Ab 404 in ")


def test_the_log_tells_plates_to_those_who_ask(caplog):
    with serving(show_texts=True) as client:
        assert logged(caplog, client)[0].getMessage().endswith(" ms, 2 plates (AB123, not read)")
