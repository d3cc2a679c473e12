"""The API's description: every answer and error is in it, real answers keep to it, and its examples hold."""

from pipeline.serving.api_description import Error, Picture, Pictures

from .served import PHOTO, form, post


def test_the_description_has_every_answer_and_examples_that_hold(client):
    operation = client.get("/openapi.json").json()["paths"]["/v1/recognize"]["post"]
    assert set(operation["responses"]) == {"200", *map(str, (400, 401, 408, 413, 415, 422, 500, 503))}
    assert set(operation["requestBody"]["content"]) == {"image/*", "application/octet-stream", "multipart/form-data"}
    assert {one["name"] for one in operation["parameters"]} == {"min_score", "region"}
    assert len(operation["security"]) == 2
    assert "Retry-After" in operation["responses"]["503"]["headers"]
    examples = operation["responses"]["200"]["content"]["application/json"]["examples"]
    assert Picture.model_validate(examples["picture"]["value"], extra="forbid")
    assert Pictures.model_validate(examples["form"]["value"], extra="forbid")


def test_real_answers_keep_to_it(client):
    assert Picture.model_validate(post(client).json(), extra="forbid")
    both = client.post("/v1/recognize", **form(("a.jpg", PHOTO), ("b.jpg", b""))).json()
    assert Pictures.model_validate(both, extra="forbid")
    assert Error.model_validate(post(client, b"").json(), extra="forbid")
