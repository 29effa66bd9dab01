"""Pictures by URL: only from the public internet, within limits."""

from __future__ import annotations

import asyncio
import ipaddress
import threading
from collections.abc import Callable, Mapping, Sequence

import httpx
import pytest
from serving import client, errors
from test_serve import SMALL

from snellen.apps.serve.fetch import Address, Fetcher, is_public
from snellen.apps.web.upload import Upload
from snellen.image import ImageError

PUBLIC = "93.184.216.34"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True), ("2606:2800:220:1::1", True), ("127.0.0.1", False), ("10.0.0.1", False), ("192.168.1.1", False),
        ("172.16.0.1", False), ("169.254.169.254", False), ("100.64.0.1", False), ("0.0.0.0", False),
        ("224.0.0.1", False), ("255.255.255.255", False), ("::1", False), ("::", False), ("fe80::1", False),
        ("fc00::1", False), ("::ffff:127.0.0.1", False), ("64:ff9b::7f00:1", False), ("2002:7f00:1::", False),
        ("::7f00:1", False), ("fec0::1", False), ("2001:0:7f00:1::", False), ("ff0e::1", False),
    ],
)  # fmt: skip
def test_only_public_addresses_are_connected_to(address: str, public: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is public


class Internet:
    """Names with their addresses, and pages; `asked` holds the URLs and hosts of the requests that came through."""

    def __init__(self, names: Mapping[str, Sequence[str]], answer: Callable[[httpx.Request], httpx.Response]) -> None:
        self.names = names
        self.answer = answer
        self.asked: list[tuple[str, str]] = []

    def resolve(self, host: str, port: int) -> list[Address]:
        """Return the addresses of a name."""
        if host not in self.names:
            raise OSError("no such name")
        return [ipaddress.ip_address(one) for one in self.names[host]]

    def handle(self, request: httpx.Request) -> httpx.Response:
        """Answer a request."""
        self.asked.append((str(request.url), request.headers["host"]))
        return self.answer(request)

    def fetch(self, url: str, most_bytes: int = 1000) -> Upload | ImageError:
        """Fetch from this internet."""
        fetcher = Fetcher(most_bytes, resolve=self.resolve, transport=httpx.MockTransport(self.handle))
        return asyncio.run(fetcher.fetch(url))


def test_a_file_is_fetched_from_the_address_that_was_checked() -> None:
    internet = Internet(
        {"pictures.example": [PUBLIC]}, lambda _: httpx.Response(200, stream=httpx.ByteStream(b"picture"))
    )
    assert internet.fetch("https://pictures.example/a/b.jpg?size=1#x") == Upload("b.jpg", b"picture")
    assert internet.asked == [(f"https://{PUBLIC}/a/b.jpg?size=1", "pictures.example")]


@pytest.mark.parametrize(
    ("url", "name"),
    [
        ("http://a.example/", "a.example"), ("http://a.example/?x=/b", "a.example"), ("http://a.example/b/", "b"),
        (f"http://a.example/{'folder/' * 50}b.jpg", "b.jpg"), ("", "picture 1"),
    ],
)  # fmt: skip
def test_a_picture_has_the_last_name_in_its_url(url: str, name: str) -> None:
    assert Internet({}, lambda _: httpx.Response(404)).fetch(url).name == name


@pytest.mark.parametrize(
    "url",
    [
        "http://inside.example/a", "http://both.example/a", "http://127.0.0.1/a", "http://[::1]/a", "http://2130706433/a",
        "http://nowhere.example/a", "file:///etc/passwd", "ftp://pictures.example/a", "http://u:p@pictures.example/a",
        "http://pictures.example:22/a", "http://pictures.example:8000/a", "http://", "not a url", "", "http://[/a",
    ],
)  # fmt: skip
def test_other_addresses_are_not_asked(url: str) -> None:
    names = {
        "pictures.example": [PUBLIC], "inside.example": ["10.0.0.1"], "both.example": [PUBLIC, "127.0.0.1"],
        "127.0.0.1": ["127.0.0.1"], "::1": ["::1"], "2130706433": ["127.0.0.1"],
    }  # fmt: skip
    internet = Internet(names, lambda _: httpx.Response(200, stream=httpx.ByteStream(b"secret")))
    found = internet.fetch(url)
    assert isinstance(found, ImageError) and "cannot be fetched" in found.problem
    assert internet.asked == []


def test_a_redirect_is_checked_like_the_first_url() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if request.headers["host"] == "pictures.example":
            return httpx.Response(302, headers={"Location": "http://inside.example/secret"})
        return httpx.Response(200, stream=httpx.ByteStream(b"secret"))

    internet = Internet({"pictures.example": [PUBLIC], "inside.example": ["169.254.169.254"]}, answer)
    assert isinstance(internet.fetch("http://pictures.example/a"), ImageError)
    assert [host for _, host in internet.asked] == ["pictures.example"]
    round_and_round = Internet({"a.example": [PUBLIC]}, lambda _: httpx.Response(302, headers={"Location": "/a"}))
    found = round_and_round.fetch("http://a.example/a")
    assert isinstance(found, ImageError) and "redirects" in found.problem and len(round_and_round.asked) == 4


def test_a_large_file_and_an_error_page_are_refused() -> None:
    large = Internet({"a.example": [PUBLIC]}, lambda _: httpx.Response(200, stream=httpx.ByteStream(b"x" * 1001)))
    missing = Internet({"a.example": [PUBLIC]}, lambda _: httpx.Response(404, stream=httpx.ByteStream(b"x")))
    for internet, reason in ((large, "larger"), (missing, "404")):
        found = internet.fetch("http://a.example/a.jpg")
        assert isinstance(found, ImageError) and reason in found.problem


def test_a_name_server_that_does_not_answer_takes_time_of_the_file() -> None:
    answered = threading.Event()

    def resolve(host: str, port: int) -> list[Address]:
        assert answered.wait(60), "nobody went on without the name server"
        return [ipaddress.ip_address(PUBLIC)]

    async def fetch() -> Upload | ImageError:
        try:
            return await Fetcher(1000, seconds=0.05, resolve=resolve).fetch("http://a.example/a.jpg")
        finally:
            answered.set()

    found = asyncio.run(fetch())
    assert isinstance(found, ImageError) and found.problem == "no complete file within 0.05 s"


def test_urls_are_pictures_of_a_request_where_they_are_allowed() -> None:
    internet = Internet({"a.example": [PUBLIC]}, lambda _: httpx.Response(200, stream=httpx.ByteStream(SMALL)))
    fetcher = Fetcher(10**6, resolve=internet.resolve, transport=httpx.MockTransport(internet.handle))
    with client(fetcher=fetcher) as server:
        urls = ["http://a.example/a.png", "http://localhost/b.png"]
        answer = server.post("/v1/score", files={"picture": ("c.png", SMALL)}, data={"url": urls}).json()["scores"]
    assert [one["name"] for one in answer] == ["c.png", "a.png", "b.png"]
    assert errors(answer) == [None, None, "missing"]
