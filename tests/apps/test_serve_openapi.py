"""The OpenAPI description: its paths are the routes, its schemas fit the answers."""

from __future__ import annotations

from typing import Any

import pytest
from serving import CROP, FINAL, client, files
from test_serve import PICTURE

from snellen.apps.serve.openapi import PLAIN_OPTIONS, PROMPT_OPTIONS, description
from snellen.apps.serve.settings import OPTIONS
from snellen.backends.scripted import ScriptedBackend

API = description("scripted", reads_prompts=False, urls=False)
TYPES: dict[str, type | tuple[type, ...]] = {
    "object": dict, "array": list, "string": str, "boolean": bool, "integer": int, "number": (int, float),
}  # fmt: skip


def fault(value: Any, schema: dict[str, Any]) -> str | None:
    """Return why a value does not fit a schema, as far as the description uses JSON Schema; None where it fits."""
    if "$ref" in schema:
        return fault(value, API["components"]["schemas"][schema["$ref"].rpartition("/")[2]])
    if "anyOf" in schema:
        faults = [fault(value, one) for one in schema["anyOf"]]
        return None if None in faults else "; ".join(map(str, faults))
    if schema.get("type") == "null":
        return None if value is None else f"{value!r:.60} is not null"
    if "type" in schema and not isinstance(value, TYPES[schema["type"]]):
        return f"{value!r:.60} is no {schema['type']}"
    if value not in schema.get("enum", [value]) or value != schema.get("const", value):
        return f"{value!r:.60} is not listed"
    if isinstance(value, (int, float)) and not schema.get("minimum", value) <= value <= schema.get("maximum", value):
        return f"{value} is out of range"
    if isinstance(value, list):
        return next((found for one in value if (found := fault(one, schema.get("items", {})))), None)
    if isinstance(value, dict) and "properties" in schema:
        if missing := [name for name in schema.get("required", ()) if name not in value]:
            return f"no {missing}"
        if not schema["additionalProperties"] and (more := value.keys() - schema["properties"].keys()):
            return f"also {more}"
        known = [(one, schema["properties"][name]) for name, one in value.items() if name in schema["properties"]]
        return next((found for one, inner in known if (found := fault(one, inner))), None)
    return None


def test_the_check_finds_a_fault() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "number", "maximum": 1}}, "required": ["a"],
              "additionalProperties": False}  # fmt: skip
    assert fault({"a": 1}, schema) is None
    assert fault({"a": 2}, schema) and fault({}, schema) and fault({"a": 1, "b": 1}, schema) and fault([], schema)


class PicturesAlone(ScriptedBackend):
    """A model that reads no prompt, as snellen-1."""

    reads_prompts = False


def test_paths_and_methods_are_the_routes() -> None:
    with client(PicturesAlone([CROP, FINAL])) as server:
        served = {
            (route.path, method.lower())
            for route in server.app.routes  # type: ignore[attr-defined]
            for method in route.methods - {"HEAD"}
            if route.path != "/" and not route.path.startswith("/static/")
        }
        assert server.get("/openapi.json").json() == API
    assert {(path, method) for path, one in API["paths"].items() for method in one} == served


def test_a_model_that_reads_prompts_offers_no_chat() -> None:
    with client(ScriptedBackend([FINAL])) as server:
        assert "/v1/models" not in server.get("/openapi.json").json()["paths"]
        assert server.get("/v1/models").status_code == 404


def test_the_options_are_all_described() -> None:
    assert PLAIN_OPTIONS.keys() | PROMPT_OPTIONS.keys() == OPTIONS.keys()


def answer_schema(path: str, method: str) -> Any:
    """Return the schema of an answer in JSON."""
    return API["paths"][path][method]["responses"]["200"]["content"]["application/json"]["schema"]


@pytest.mark.parametrize("path", ["/v1/assess", "/v1/score", "/v1/reward"])
def test_answers_fit_their_schemas(path: str) -> None:
    with client() as server:
        answer = server.post(path, files=files(("a.png", PICTURE), ("b", b"no picture")))
    assert answer.status_code == 200
    assert fault(answer.json(), answer_schema(path, "post")) is None


def test_states_models_and_errors_fit_their_schemas() -> None:
    with client(PicturesAlone([FINAL])) as server:
        for path in ("/healthz", "/v1/models"):
            assert fault(server.get(path).json(), answer_schema(path, "get")) is None
        for path in ("/v1/assess", "/v1/chat/completions"):
            refused = server.post(path, json={"messages": 1})
            schema = API["paths"][path]["post"]["responses"][str(refused.status_code)]["content"]["application/json"]
            assert fault(refused.json(), schema["schema"]) is None
