"""The interface of a served model, for client libraries: what is asked and answered is as it says."""

import base64

import jsonschema
import numpy as np
import pandas as pd
import pytest

from pipeline.images import encode_png
from pipeline.registration import schema
from pipeline.registration.model import signature
from pipeline.serving import pyfunc


@pytest.fixture(scope="module")
def interface():
    return schema.of_signature(signature(), "alpr")


@pytest.fixture(scope="module")
def picture():
    image = np.zeros((120, 160, 3), dtype=np.uint8)
    image[56:64, 76:84] = 255
    return encode_png(image)


def check(interface, name, value):
    """Against a schema of the interface; those of OpenAPI 3.1 are JSON schemas."""
    whole = {"$ref": f"#/components/schemas/{name}", "components": interface["components"]}
    jsonschema.Draft202012Validator.check_schema(whole)
    jsonschema.Draft202012Validator(whole).validate(value)


def test_rows_are_as_it_says(interface, picture, tiny_bundle):
    model = pyfunc._load_pyfunc(str(tiny_bundle))
    found, bad = model.predict(pd.DataFrame({"image": [picture, b"no image"]}))
    assert found["plates"], "a plate, so that its fields are checked"
    check(interface, "Answer", {"predictions": [found, bad]})
    none, unread = model.predict(pd.DataFrame({"image": [picture, "%"]}), {"min_score": 0.999})
    assert none["plates"] == []
    assert unread["error"] == "not base64"
    check(interface, "Answer", {"predictions": [none, unread]})


WRONG = {
    "a field that nobody knows": {"plates": [], "colour": "red"},
    "a text that is a number": {"plates": [{"text": 5}]},
    "plates that are no list": {"plates": {}},
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG.keys())
def test_other_rows_are_refused(interface, change):
    with pytest.raises(jsonschema.ValidationError):
        check(interface, "Row", {"image": "0", "width": 9, "height": 9, **change})


def test_requests_are_as_it_says(interface, picture):
    text = base64.b64encode(picture).decode()
    check(interface, "Request", {"dataframe_records": [{"image": text}], "params": {"min_score": 0.5}})
    check(interface, "Request", {"dataframe_split": {"columns": ["image"], "data": [[text], [text]]}})
    for wrong in ({}, {"dataframe_records": [{"picture": text}]}, {"dataframe_records": [], "params": {"score": 1}}):
        with pytest.raises(jsonschema.ValidationError):
            check(interface, "Request", wrong)


def test_every_field_says_what_it_means(interface):
    found = set()

    def walk(node):
        for name, inner in node.get("properties", {}).items():
            found.add(name)
            assert "description" in inner or name == "predictions", name
            walk(inner.get("items", inner))

    walk(interface["components"]["schemas"]["Row"])
    assert found == set(schema.MEANINGS) - {"min_score"}
