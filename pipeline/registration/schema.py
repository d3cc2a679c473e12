"""The served model's HTTP interface as OpenAPI 3.1, derived from its MLflow signature: for client libraries."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow.models import ModelSignature

Row = dict[str, Any]

NAME = "openapi.json"
SIMPLE: dict[str, Row] = {
    "binary": {"type": "string", "contentEncoding": "base64"},
    "string": {"type": "string"},
    "double": {"type": "number"},
    "long": {"type": "integer"},
}
MEANINGS = {
    "image": "asked: a picture's bytes (JPEG, PNG, WebP), base64; answered: its number in the request, from 0",
    "min_score": "detections below this score are left out",
    "width": "of the picture, upright, in pixels",
    "height": "of the picture, upright, in pixels",
    "plates": "what was found, the surest first; absent where there is an error",
    "error": "why there is no answer for this picture; the others have theirs",
    "box": "[x1, y1, x2, y2] in pixels",
    "corners": "[x, y] of four corners in pixels, clockwise from the plate's own top left",
    "score": "of the detection, from 0 to 1",
    "text": "A to Z and 0 to 9; empty where the reader is not sure enough",
    "guess": "the best reading, however unsure",
    "text_score": "how likely the guess is to be exactly right, from 0 to 1",
    "char_scores": "one for each character of the guess, from 0 to 1",
    "region": "the country that the plate looks like, as ISO 3166 has it; null where unknown",
}


def of_signature(signature: ModelSignature, model: str) -> Row:
    """The interface of `mlflow models serve` for a model with this signature."""
    described = {key: json.loads(value) for key, value in signature.to_dict().items() if value}
    columns, rows, settings = (described[key] for key in ("inputs", "outputs", "params"))
    names = [column["name"] for column in columns]
    split = {
        "type": "object",
        "properties": {
            "columns": {"const": names},
            "data": {"type": "array", "items": {"type": "array", "prefixItems": [_schema(c) for c in columns]}},
        },
        "required": ["columns", "data"],
    }
    parameters = {setting["name"]: _schema(setting) | {"default": setting["default"]} for setting in settings}
    params_ = {"type": "object", "properties": parameters, "additionalProperties": False}
    request = {
        "type": "object",
        "description": "pictures as records, or as columns and rows",
        "properties": {
            "dataframe_records": {"type": "array", "items": _object(columns)},
            "dataframe_split": split,
            "params": params_,
        },
        "oneOf": [{"required": ["dataframe_records"]}, {"required": ["dataframe_split"]}],
        "additionalProperties": False,
    }
    answer = {
        "type": "object",
        "properties": {"predictions": {"type": "array", "items": {"$ref": "#/components/schemas/Row"}}},
        "required": ["predictions"],
    }
    failure = {
        "type": "object",
        "properties": {"error_code": {"type": "string"}, "message": {"type": "string"}},
        "required": ["error_code", "message"],
    }
    schemas = {"Request": request, "Answer": answer, "Row": _object(rows), "Failure": failure}
    return {
        "openapi": "3.1.0",
        "info": {"title": model, "version": "1", "description": "Licence plates in pictures: `mlflow models serve`."},
        "paths": {
            "/invocations": {
                "post": {
                    "operationId": "recognize",
                    "requestBody": {"required": True, "content": _json("Request")},
                    "responses": {
                        "200": {"description": "a row for each picture, in order", "content": _json("Answer")},
                        "400": {"description": "the request is not as described", "content": _json("Failure")},
                    },
                }
            },
            "/ping": {"get": {"operationId": "ping", "responses": {"200": {"description": "the model is loaded"}}}},
        },
        "components": {"schemas": schemas},
    }


def _json(name: str) -> Row:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{name}"}}}


def _object(fields: list[Row]) -> Row:
    """Columns or properties, as MLflow writes them, as a JSON object; one that need not be there may also be null."""
    return {
        "type": "object",
        "properties": {field["name"]: _schema(field) for field in fields},
        "required": [field["name"] for field in fields if field["required"]],
        "additionalProperties": False,
    }


def _schema(node: Row) -> Row:
    """{"type": "array", "items": {"type": "double"}, "name": "box", "required": True} -> a JSON schema."""
    kind = node["type"]
    if kind == "array":
        schema: Row = {"type": "array", "items": _schema(node["items"])}
    elif kind == "object":
        schema = _object([{"name": name, **inner} for name, inner in node["properties"].items()])
    else:
        schema = dict(SIMPLE["double" if kind == "float" else kind])
    if not node.get("required", True):
        schema["type"] = [schema["type"], "null"]
    meaning = MEANINGS.get(node.get("name", ""))
    return {**schema, "description": meaning} if meaning else schema
