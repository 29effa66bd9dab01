"""Chat completions of snellen-1: one Snellen as another's backend gives the same answers."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from pictures import noise
from PIL import Image
from serving import client
from starlette.testclient import TestClient

from snellen.apps.serve.sent_crop import CropError, crop_view, stated_box
from snellen.assessor import Assessor
from snellen.backends.abilities import Abilities
from snellen.backends.chat_server import RequestError
from snellen.backends.onnx import Snellen1Backend
from snellen.backends.openai import OpenAIBackend
from snellen.image import Picture
from snellen.protocol import later_prompt
from snellen.region import Region
from snellen.reply import RATING_PREFIX

Result = TypeVar("Result")

EXAMPLES = Path(__file__).parents[2] / "examples"
ABILITIES = Abilities(listed=True, top_logprobs=0, continues=True)


class InProcess:
    """Transport to a server in this process; `asked` holds the bodies of the requests."""

    shown = "in process"

    def __init__(self, server: TestClient) -> None:
        self.server = server
        self.asked: list[Any] = []

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine."""
        return asyncio.run(work)

    async def post(self, path: str, body: Callable[[], Any], attempts: int | None = None) -> Any:
        """Ask the server; RequestError for an error."""
        self.asked.append(body())
        answer = self.server.post("/v1" + path, json=self.asked[-1])
        if answer.status_code != 200:
            raise RequestError(answer.text, status=answer.status_code)
        return answer.json()

    def excerpt(self, value: Any) -> str:
        """Return the value as text."""
        return json.dumps(value)


@pytest.fixture(scope="module")
def model() -> Snellen1Backend:
    return Snellen1Backend()


@pytest.fixture(scope="module")
def server(model: Snellen1Backend) -> Iterator[TestClient]:
    with client(model) as one:
        yield one


def remote(server: TestClient, long_side: int) -> OpenAIBackend:
    """Return the backend openai: with the server behind it."""
    backend = OpenAIBackend("http://127.0.0.1/v1#snellen-1", long_side=long_side, abilities=ABILITIES)
    backend.server = InProcess(server)
    return backend


@pytest.fixture(scope="module")
def two_rounds(model: Snellen1Backend) -> Any:
    return Assessor(model).assess([EXAMPLES / "fig_local_compression.jpg"])[0]


def test_both_rounds_are_those_of_the_model_itself(server: TestClient, two_rounds: Any) -> None:
    (found,) = Assessor(remote(server, 100_000)).assess([EXAMPLES / "fig_local_compression.jpg"])
    assert len(two_rounds.steps) == 2
    assert [step.reply.text for step in found.steps] == [step.reply.text for step in two_rounds.steps]
    assert found.score == round(two_rounds.score, 2)


def test_smaller_views_give_an_answer_too(server: TestClient) -> None:
    (found,) = Assessor(remote(server, 800)).assess([EXAMPLES / "fig_local_compression.jpg"])
    assert found.error is None and len(found.steps) == 2


def test_score_only_continues_the_begun_reply(server: TestClient, model: Snellen1Backend) -> None:
    backend = remote(server, 100_000)
    picture = EXAMPLES / "cat_compressed.jpg"
    (found,) = Assessor(backend, score_only=True).assess([picture])
    assert found.score == round(Assessor(model, score_only=True).assess([picture])[0].score or 0.0, 2)
    assert isinstance(backend.server, InProcess)
    assert backend.server.asked[0]["messages"][-1] == {"role": "assistant", "content": RATING_PREFIX}


def picture_part(data: bytes | None = None) -> dict[str, Any]:
    """Return the part of a turn that shows a small grey picture, or these bytes."""
    if data is None:
        data = base64.b64decode(GREY)
    return {"type": "image_url", "image_url": {"url": "data:image/png;base64," + base64.b64encode(data).decode()}}


GREY = base64.b64encode((Path(__file__).parents[1] / "data" / "solid_gray.png").read_bytes()).decode()
TEXT = {"type": "text", "text": "How good is it?"}


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"model": "gpt"}, 404, "model_not_found"),
        ({"stream": True}, 400, "unsupported"),
        ({"n": 2}, 400, "unsupported"),
        ({"response_format": {"type": "json_object"}}, 400, "unsupported"),
        ({"messages": []}, 400, "bad_messages"),
        ({"messages": [1]}, 400, "bad_messages"),
        ({"messages": [{"role": "user", "content": 5}]}, 400, "bad_messages"),
        ({"messages": [{"role": "user", "content": "no picture"}]}, 400, "no_picture"),
        ({"messages": [{"role": "system", "content": "Be kind."}]}, 400, "no_picture"),
        ({"messages": [{"role": "user", "content": [picture_part(b"none")]}]}, 400, "unreadable"),
        ({"messages": [{"role": "user", "content": [picture_part(), picture_part()]}]}, 400, "not_a_crop"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "http://a/b"}}]}]},
            400,
            "bad_picture",
        ),
        (
            {"messages": [{"role": "user", "content": [picture_part()]}, {"role": "assistant", "content": "It"}]},
            400,
            "unsupported",
        ),
        (
            {
                "messages": [
                    {"role": "user", "content": [picture_part()]},
                    {"role": "assistant", "content": "fine"},
                    {"role": "user", "content": [picture_part()]},
                ]
            },
            400,
            "not_a_crop",
        ),
    ],
)
def test_what_the_model_cannot_do_is_said(server: TestClient, changes: dict[str, Any], status: int, code: str) -> None:
    body = {"model": "snellen-1", "messages": [{"role": "user", "content": [TEXT, picture_part()]}]} | changes
    answer = server.post("/v1/chat/completions", json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert answer.json()["error"]["message"]


def test_a_crop_of_a_whole_sent_smaller_is_a_view_of_an_enlarged_one() -> None:
    original = Picture(noise(800, 600), "original")
    region = Region(0.25, 0.5, 0.5, 0.75)  # 200 x 150 px, from (200, 300)
    crop = Picture(original.view(region).pixels, "crop")
    small = Picture(np.array(Image.fromarray(original.pixels).resize((400, 300))), "small")
    view = crop_view(crop, small, region, region, 100.0)
    assert (view.picture.width, view.picture.height, view.region) == (800, 600, region)
    assert np.array_equal(view.pixels, crop.pixels)
    with pytest.raises(CropError, match="megapixels"):
        crop_view(crop, small, region, region, 0.1)
    with pytest.raises(CropError, match="not the part"):
        crop_view(replace(crop, pixels=noise(300, 50)), small, region, region, 100.0)


def test_the_box_of_a_crop_is_in_the_prompt_of_a_later_round() -> None:
    region = Region(0.25, 0.5, 0.5, 0.75)
    assert stated_box(later_prompt("How good is it?", region)) == region
    assert stated_box("no box") is None and stated_box("[0.5, 0.5, 0.1, 0.1]") is None
