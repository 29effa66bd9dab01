"""Requests to a chat completions server: one key for one host, total timeouts, a size limit, retries."""

from __future__ import annotations

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable, Coroutine
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from snellen.backend import BackendError
from snellen.usage import MissingExtra, visible

if TYPE_CHECKING:
    import httpx

Result = TypeVar("Result")

RETRIED = (408, 409, 425, 429, 500, 502, 503, 504)
"""Status codes after which a request is sent again."""
MAX_BYTES = 64 * 2**20
"""Largest answer that is read. 1,024 tokens with 20 alternatives each are about 5 MiB."""
LONGEST_PAUSE = 60.0
"""Longest wait before another attempt, s, whatever Retry-After says."""
EXCERPT = 300
"""Characters of an answer that an error quotes."""


class RequestError(BackendError):
    """A request that failed for good.

    Attributes:
        status: HTTP status; None where no complete answer came.
        hopeless: no other request can succeed either: the server cannot be reached, or refuses key or address.
        temporary: the same request may succeed later.
    """

    def __init__(self, problem: str, *, status: int | None = None, hopeless: bool = False, temporary: bool = False):
        super().__init__(problem)
        self.status = status
        self.hopeless = hopeless
        self.temporary = temporary


class Waiting(BackendError):
    """A request that is written into a file and has no reply yet, see `openai_batch`."""


class Transport(Protocol):
    """Carrier of requests to a model: a `ChatServer`, or the files of a job."""

    shown: str

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end."""

    async def post(self, path: str, body: Callable[[], Any], attempts: int | None = None) -> Any:
        """Return the answer to a request; RequestError when there is none."""

    def excerpt(self, value: Any) -> str:
        """Return the beginning of a JSON value for an error, without secrets."""


class ChatServer:
    """A server at one address. Its methods are coroutines; `run` runs one from ordinary code.

    The API key is that of the environment variable OPENAI_API_KEY, if set; user and password may be part of the URL.
    They are sent to this address only: a redirect is an error. Errors hold neither them nor the URL's query.

    Args:
        url: base address, for example `http://localhost:8000/v1`; a query is kept behind the path of each request.
        concurrency: requests in flight at a time.
        timeout: seconds that an attempt may take in all, from the connection to the last byte.
        attempts: how often a request is sent that does not get through, or gets a status of `RETRIED`.
        wait: seconds before the second attempt, doubled for each further one, unless the server sends Retry-After.

    Raises:
        MissingExtra: httpx is not installed.
        ValueError: `url` is no HTTP address.
        BackendError: the key holds characters that no header may hold.
    """

    def __init__(
        self, url: str, *, concurrency: int = 32, timeout: float = 300.0, attempts: int = 5, wait: float = 1.0
    ) -> None:
        try:
            import httpx
        except ModuleNotFoundError as error:
            raise MissingExtra("openai: models need httpx", "openai") from error
        try:
            self._url = httpx.URL(url)
        except httpx.InvalidURL as error:
            raise ValueError(f"the server's address is no URL ({error})") from error
        if self._url.scheme not in ("http", "https") or not self._url.host:
            raise ValueError("the server's address begins with http:// or https:// and names a host")
        self.shown = str(self._url.copy_with(userinfo=b"", query=None, fragment=None)).rstrip("/")
        self.concurrency = concurrency
        self.timeout = timeout
        self.attempts = attempts
        self.wait = wait
        self._key = os.environ.get("OPENAI_API_KEY", "").strip()
        if not self._key.isascii() or not self._key.isprintable():
            raise BackendError("OPENAI_API_KEY holds characters that no key has; set it again")
        self._slots = asyncio.Semaphore(concurrency)
        self._client: httpx.AsyncClient | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def run(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Run a coroutine to its end in the server's own event loop, also where the caller has a loop (notebooks)."""
        if self._loop is None:
            self._loop = asyncio.new_event_loop()
            threading.Thread(target=self._loop.run_forever, daemon=True, name=f"requests to {self.shown}").start()
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # also Ctrl-C: nothing more is sent
            future.cancel()
            raise

    async def get(self, path: str) -> Any:
        """Return the JSON value at a path below the address; RequestError when there is none."""
        return await self._request("GET", path, None, self.attempts)

    async def post(self, path: str, body: Callable[[], Any], attempts: int | None = None) -> Any:
        """Send what `body()` returns as JSON, return the JSON value of the answer; RequestError when it fails for good.

        `body` is called in a thread, when the request's turn comes, so that few large bodies exist at a time.
        """
        return await self._request("POST", path, body, attempts or self.attempts)

    async def _request(self, method: str, path: str, body: Callable[[], Any] | None, attempts: int) -> Any:
        async with self._slots:
            content = None if body is None else await asyncio.to_thread(lambda: json.dumps(body()).encode())
            for attempt in range(1, attempts + 1):
                pause = self.wait * 2 ** (attempt - 1)
                try:
                    return await self._attempt(method, path, content)
                except _Again as error:
                    failed = error
                if attempt < attempts:
                    await asyncio.sleep(min(pause if failed.pause is None else failed.pause, LONGEST_PAUSE))
        raise RequestError(
            f"{self.shown}: {failed}; gave up after {attempts} {'attempt' if attempts == 1 else 'attempts'}",
            status=failed.status,
            hopeless=failed.unreachable,
            temporary=True,
        ) from failed

    async def _attempt(self, method: str, path: str, content: bytes | None) -> Any:
        import httpx

        if self._client is None:
            limits = httpx.Limits(max_connections=self.concurrency, max_keepalive_connections=self.concurrency)
            safe = self._url.scheme == "https"  # loading certificates takes time that plain HTTP need not spend
            self._client = httpx.AsyncClient(timeout=None, limits=limits, follow_redirects=False, verify=safe)
        try:
            status, headers, data = await asyncio.wait_for(self._exchange(method, path, content), self.timeout)
        except (asyncio.TimeoutError, TimeoutError) as error:
            raise _Again(f"no complete answer within {self.timeout:g} s") from error
        except (httpx.ConnectError, httpx.ConnectTimeout) as error:
            raise _Again(f"cannot be reached ({self._clean(str(error))}); start it, or correct the address",
                         unreachable=True) from error  # fmt: skip
        except httpx.HTTPError as error:  # a broken connection, an answer cut off, a protocol error
            raise _Again(f"the connection broke ({self._clean(str(error) or type(error).__name__)})") from error
        if status in RETRIED:
            pause = _retry_after(headers.get("Retry-After"))
            raise _Again(f"status {status}: {self._excerpt(data)}", status=status, pause=pause)
        if 300 <= status < 400:
            target = httpx.URL(headers.get("Location", "")).copy_with(userinfo=b"", query=None, fragment=None)
            problem = f"status {status}: it redirects to {target}, which gets neither key nor pictures"
            raise RequestError(f"{self.shown}: {problem}; if it is right, give it", status=status, hopeless=True)
        if not 200 <= status < 300:
            problem = f"{self.shown}: status {status}: {self._excerpt(data)}"
            raise RequestError(problem, status=status, hopeless=status in (401, 404))
        return self._json(data)

    async def _exchange(self, method: str, path: str, content: bytes | None) -> tuple[int, Any, bytes]:
        assert self._client is not None
        url = self._url.copy_with(path=self._url.path.rstrip("/") + path, fragment=None)
        headers = {"Content-Type": "application/json"}
        if self._key:
            # Azure's servers, known by their api-version, take the key under a name of their own
            name, value = ("api-key", self._key) if b"api-version=" in self._url.query else (
                "Authorization", f"Bearer {self._key}")  # fmt: skip
            headers[name] = value
        parts: list[bytes] = []
        size = 0
        async with self._client.stream(method, url, content=content, headers=headers) as response:
            async for part in response.aiter_bytes():
                size += len(part)
                if size > MAX_BYTES:
                    raise RequestError(f"{self.shown}: the answer is larger than {MAX_BYTES // 2**20} MiB")
                parts.append(part)
        return response.status_code, response.headers, b"".join(parts)

    def _json(self, data: bytes) -> Any:
        try:
            value = json.loads(data)  # decodes UTF-8, 16 and 32; UnicodeDecodeError is a ValueError
        except (ValueError, RecursionError) as error:
            problem = f"the answer is not JSON ({self._clean(str(error))}): {self._excerpt(data)}"
            if data.lstrip()[:1] == b"<":  # a gateway's page, which costs no tokens
                raise _Again(problem) from error
            raise RequestError(f"{self.shown}: {problem}") from error
        if isinstance(value, dict) and value.get("error"):
            error_code = value["error"].get("code") if isinstance(value["error"], dict) else None
            problem = f"an error with status 200: {self._excerpt(data)}"
            if error_code in RETRIED:
                raise _Again(problem, status=error_code)
            raise RequestError(f"{self.shown}: {problem}", status=error_code if isinstance(error_code, int) else None)
        return value

    def excerpt(self, value: Any) -> str:
        """Return the beginning of a JSON value for an error, without secrets."""
        return self._excerpt(json.dumps(value).encode())

    def _excerpt(self, data: bytes) -> str:
        # what is cut must be clean first, so that no half of a key is left at the end
        text = self._clean(data[: 100 * EXCERPT].decode(errors="replace"))
        return visible(" ".join(text[:EXCERPT].split()))

    def _clean(self, text: str) -> str:
        """Return the text without the key, and without user, password and query of the URL."""
        query = self._url.params.multi_items()
        more = [self._url.password, self._url.username, *(value for _, value in query)]
        secrets = [
            self._key,
            *(value for value in more if len(value) > 3),
        ]  # a shorter one is a part of many words
        for secret in sorted(filter(None, secrets), key=len, reverse=True):
            text = text.replace(secret, "[secret]").replace(json.dumps(secret)[1:-1], "[secret]")
        return text


class _Again(Exception):
    """A failed attempt that may be repeated, after `pause` seconds if the server named them."""

    def __init__(
        self, problem: str, *, status: int | None = None, pause: float | None = None, unreachable: bool = False
    ) -> None:
        super().__init__(problem)
        self.status = status
        self.pause = pause
        self.unreachable = unreachable


def _retry_after(header: str | None) -> float | None:
    """Return the seconds of a Retry-After header, which holds seconds or a date; None where it is absent or neither."""
    if header is None:
        return None
    try:
        seconds = float(header)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(header).timestamp() - time.time()
        except ValueError:
            return None
    return max(0.0, seconds) if seconds == seconds else None
