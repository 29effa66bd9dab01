"""The interface in OpenAPI 3.1, kept by hand; a test compares it with the routes and with what they answer."""

from __future__ import annotations

from typing import Any

import snellen
from snellen.apps.serve.reward import SCALES
from snellen.apps.serve.settings import RANGES
from snellen.vocabulary import KINDS, VERDICTS

Json = dict[str, Any]

NUMBER: Json = {"type": "number"}
TEXT: Json = {"type": "string"}


def thing(properties: Json, required: list[str] | None = None, more: bool = False) -> Json:
    """Return the schema of an object with these properties, by default all required and no other."""
    names = list(properties) if required is None else required
    schema: Json = {"type": "object", "properties": properties, "additionalProperties": more}
    return schema | ({"required": names} if names else {})


def many(items: Json) -> Json:
    """Return the schema of a list."""
    return {"type": "array", "items": items}


def or_null(schema: Json) -> Json:
    """Return the schema of a value that may be null."""
    return {"anyOf": [schema, {"type": "null"}]}


def option(name: str) -> Json:
    """Return the schema of an option that is a number."""
    kind, low, high = RANGES[name]
    return {"type": "integer" if kind is int else "number", "minimum": low, "maximum": high}


def named(name: str) -> Json:
    """Return a reference to a schema of the description."""
    return {"$ref": f"#/components/schemas/{name}"}


RATING: Json = {"type": "number", "minimum": 1, "maximum": 5}
REGION: Json = {
    **many({"type": "number", "minimum": 0, "maximum": 1}),
    "minItems": 4,
    "maxItems": 4,
    "description": "[x0, y0, x1, y1] in fractions of the upright picture",
}
ISSUE = thing(
    {
        "kind": {"type": "string", "enum": list(KINDS)},
        "severity": {"type": "integer", "minimum": 1, "maximum": 5},
        "region": REGION,
        "place": TEXT,
    }
)
PICTURE_ERROR = thing({"code": TEXT, "problem": TEXT, "remedy": TEXT})
SCORE = {
    "name": TEXT,
    "score": or_null(RATING),
    "interval": or_null({**many(RATING), "minItems": 2, "maxItems": 2}),
    "label": or_null({"type": "string", "enum": [word for _, word in VERDICTS]}),
    "issues": many(named("Issue")),
    "error": or_null(named("PictureError")),
}
DISTRIBUTION = thing({"mean": RATING, "std": NUMBER, "entropy": NUMBER, "quantiles": {"type": "object"}})
STEP = thing(
    {
        "region": REGION,
        "rating": or_null(RATING),
        "rating_source": or_null({"enum": ["distribution", "written"]}),
        "rating_mass": or_null(NUMBER),
        "distribution": or_null(DISTRIBUTION),
        "tool": or_null({"enum": ["crop", "final"]}),
        "asked": or_null(REGION),
        "zoom": or_null(REGION),
        "rationale": or_null(thing({"summary": TEXT, "directions": TEXT, "avoid": TEXT, "decision": TEXT})),
        "repaired": many(TEXT),
        "reply": TEXT,
        "finish": TEXT,
        "tokens": {"type": "integer"},
        "note": or_null(TEXT),
        "checks": many({"type": "object"}),
        "error": or_null(named("PictureError")),
    }
)
PROBABILITIES = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0, "maximum": 1}}
ASSESSMENT = thing(
    SCORE
    | {
        "possible_faults": PROBABILITIES,
        "fault_probabilities": or_null(PROBABILITIES),
        "steps": many(named("Step")),
        "prompts": or_null(thing({"positive": TEXT, "negative": TEXT})),
        "notes": many(TEXT),
        "provenance": or_null({"type": "object"}),
    }
)
PLAIN_OPTIONS: Json = {
    "max_rounds": option("max_rounds"),
    "score_only": {"type": "boolean"},
    "allow_damaged": {"type": "boolean"},
    "max_megapixels": option("max_megapixels"),
}
PROMPT_OPTIONS: Json = {
    "protocol": {"enum": ["snellen", "zoom-iqa", "levels"]},
    "question": {"type": "string", "pattern": "[^ ]"},
    **{name: option(name) for name in ("max_tokens", "temperature", "top_p", "top_k", "seed")},
}
"""Options of a model that reads prompts; others refuse them."""
FILES: Json = {
    **many({"type": "string", "format": "binary"}),
    "minItems": 1,
    "description": "files; the field may have any name",
}
URLS: Json = {**many({"type": "string", "format": "uri"}), "description": "pictures to fetch"}

SCHEMAS: Json = {
    "Issue": ISSUE,
    "PictureError": PICTURE_ERROR,
    "Step": STEP,
    "Score": thing(SCORE),
    "Assessment": ASSESSMENT,
    "Error": thing({"error": thing({"code": TEXT, "problem": TEXT, "remedy": TEXT}, more=True)}),
}
ERRORS = {
    "400": "malformed form, or a wrong turn of a conversation",
    "401": "no valid token",
    "403": "a page of another site asks",
    "404": "no such model",
    "408": "the body came too slowly",
    "413": "too many bytes or pictures",
    "415": "no multipart form",
    "421": "the server has another name",
    "422": "a wrong option, or no picture",
    "429": "the queue is full; Retry-After has seconds",
    "500": "a fault of the server",
    "503": "the model does not answer",
    "504": "the request took too long",
}
CHAT = thing(
    {
        "model": named("Model"),
        "messages": {
            **many(thing({"role": TEXT, "content": {"anyOf": [TEXT, many({"type": "object"})]}}, more=True)),
            "minItems": 1,
        },
    },
    more=True,
)
COMPLETION = thing(
    {
        "id": TEXT,
        "object": {"const": "chat.completion"},
        "created": {"type": "integer"},
        "model": TEXT,
        "choices": many(
            thing(
                {
                    "index": {"type": "integer"},
                    "message": thing({"role": {"const": "assistant"}, "content": TEXT}),
                    "finish_reason": {"const": "stop"},
                    "logprobs": {"type": "null"},
                }
            )
        ),
    }
)
MODEL = thing({"id": TEXT, "object": {"const": "model"}, "created": {"type": "integer"}, "owned_by": TEXT})


def operation(summary: str, answer: Json, body: Json | None = None, content_type: str = "application/json") -> Json:
    """Return the description of a path's one method. answer: schemas by content type. body: its schema."""
    failed = {"application/json": {"schema": named("Error")}}
    found: Json = {
        "summary": summary,
        "responses": {
            "200": {"description": "done", "content": {kind: {"schema": schema} for kind, schema in answer.items()}},
            **{status: {"description": text, "content": failed} for status, text in ERRORS.items()},
        },
    }
    if body is not None:
        found["requestBody"] = {"required": True, "content": {content_type: {"schema": body}}}
    return found


def _posts(fields: Json) -> Json:
    form = "multipart/form-data"
    scores = thing({"scores": many(named("Score"))})
    rewards = thing(
        {
            "rewards": many(or_null(NUMBER)),
            "scale": {"enum": list(SCALES)},
            "errors": many(thing({"index": {"type": "integer"}, "code": TEXT, "problem": TEXT, "remedy": TEXT})),
        }
    )
    assessed = {
        "application/json": thing({"assessments": many(named("Assessment"))}),
        "text/event-stream": {"type": "string", "description": "events round, assessment, error, done"},
    }
    needed = [] if "url" in fields else ["picture"]
    plain, scaled = thing(fields, needed), thing(fields | {"scale": {"enum": list(SCALES)}}, needed)
    return {
        "/v1/assess": operation("Everything about each picture", assessed, plain, form),
        "/v1/score": operation("Score of each picture", {"application/json": scores}, plain, form),
        "/v1/reward": operation("One number a picture", {"application/json": rewards}, scaled, form),
    }


def description(model: str, reads_prompts: bool, urls: bool) -> Json:
    """Return the description of a server.

    Args:
        model: name of its model.
        reads_prompts: its model reads prompts; one that does not answers chat completions.
        urls: it fetches pictures from URLs.
    """
    state = {"status": {"enum": ["ok"]}, "model": TEXT, "version": TEXT, "waiting": {"type": "integer"}}
    options = PLAIN_OPTIONS | (PROMPT_OPTIONS if reads_prompts else {})
    posts = _posts({"picture": FILES} | ({"url": URLS} if urls else {}) | options)
    gets = {
        "/healthz": operation("State", {"application/json": thing(state)}),
        "/metrics": operation("Numbers for Prometheus", {"text/plain": TEXT}),
        "/openapi.json": operation("This description", {"application/json": {"type": "object"}}),
    }
    if not reads_prompts:
        models = thing({"object": {"const": "list"}, "data": many(MODEL)})
        posts["/v1/chat/completions"] = operation("The next reply", {"application/json": COMPLETION}, CHAT)
        gets["/v1/models"] = operation("The model", {"application/json": models})
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Snellen",
            "version": snellen.__version__,
            "description": "An eye test for images: how good is a picture, why, and where.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": {path: {"post": one} for path, one in posts.items()}
        | {path: {"get": one} for path, one in gets.items()},
        "components": {
            "schemas": SCHEMAS | {"Model": {"const": model}},
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{}, {"token": []}],
    }
