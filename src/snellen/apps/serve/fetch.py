"""Fetching of pictures from URLs, never from this machine or its network.

A name is resolved once; all its addresses must be public, and the connection goes to one of them, so that a second
answer of the name server changes nothing. Redirects are followed by hand, each with the same checks.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import anyio
import httpx

from snellen.apps.web.upload import Upload, shown_name
from snellen.image import ImageError

MOST_REDIRECTS = 3
PORTS = (80, 443)
"""Ports that are connected to: other services of a host are none of a client's business."""
Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_UNICAST = ipaddress.ip_network("2000::/3")
"""The IPv6 addresses of the public internet; NAT64, site-local and the like lie outside it."""
_TRANSLATED = tuple(ipaddress.ip_network(one) for one in ("2002::/16", "2001::/32"))
"""Networks in it that lead to IPv4 addresses: 6to4, Teredo."""


class RefusedUrl(ValueError):
    """A URL that is not fetched; the text is the reason."""


def resolve(host: str, port: int) -> list[Address]:
    """Return the addresses of a host; raises OSError where it has none."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(one[4][0]).partition("%")[0]) for one in found]


def is_public(address: Address) -> bool:
    """Return whether an address belongs to a host of the public internet."""
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return is_public(address.ipv4_mapped)
        if address not in _UNICAST or any(address in network for network in _TRANSLATED):
            return False
    return address.is_global and not address.is_multicast


@dataclass(frozen=True)
class Fetcher:
    """Fetches files over HTTP.

    Attributes:
        most_bytes: size of a file at most.
        seconds: time for a file, redirects included.
        resolve: returns the addresses of a host and port; raises OSError.
        transport: carries the requests; None for the network.
    """

    most_bytes: int
    seconds: float = 20.0
    resolve: Callable[[str, int], Sequence[Address]] = resolve
    transport: httpx.AsyncBaseTransport | None = None

    async def fetch(self, url: str) -> Upload | ImageError:
        """Return the file at a URL, or the error of that picture."""
        name = shown_name(url.partition("?")[0].partition("#")[0].rstrip("/"), 0)
        try:
            with anyio.fail_after(self.seconds):
                data = await self._follow(httpx.URL(url))
        except TimeoutError:
            problem = f"no complete file within {self.seconds:g} s"
            return ImageError("missing", name, problem, "send the file itself")
        except (RefusedUrl, httpx.InvalidURL, httpx.HTTPError, OSError, UnicodeError) as error:
            problem = f"the URL cannot be fetched ({str(error) or type(error).__name__})"
            return ImageError("missing", name, problem, "correct it, or send the file itself")
        return Upload(name, data)

    async def _follow(self, url: httpx.URL) -> bytes:
        # no proxies of the environment: they would resolve the name again
        async with httpx.AsyncClient(transport=self.transport, trust_env=False, timeout=self.seconds) as client:
            for _ in range(MOST_REDIRECTS + 1):
                address = await self._checked(url)
                request = client.build_request(
                    "GET",
                    url.copy_with(host=str(address), fragment=None),
                    headers={"Host": url.netloc.decode("ascii"), "Accept": "image/*", "Accept-Encoding": "identity"},
                    extensions={"sni_hostname": url.host},  # and the certificate is that of the name
                )
                response = await client.send(request, stream=True)
                try:
                    if response.is_redirect and "location" in response.headers:
                        url = url.join(response.headers["location"])
                        continue
                    if response.status_code != 200:
                        raise RefusedUrl(f"status {response.status_code}")
                    return await self._body(response)
                finally:
                    await response.aclose()
        raise RefusedUrl(f"more than {MOST_REDIRECTS} redirects")

    async def _checked(self, url: httpx.URL) -> Address:
        """Return the address to connect to; raises RefusedUrl."""
        port = url.port or {"http": 80, "https": 443}.get(url.scheme)
        if url.scheme not in ("http", "https") or not url.host:
            raise RefusedUrl("it does not begin with http:// or https://")
        if url.userinfo:
            raise RefusedUrl("it holds a user or a password")
        if port not in PORTS:
            raise RefusedUrl("its port is not 80 or 443")
        # not anyio's threads: they would be waited for when the time for the file is over
        addresses = await asyncio.to_thread(self.resolve, url.host, port)
        if not addresses or not all(is_public(address) for address in addresses):
            raise RefusedUrl("its host is not on the public internet")
        return addresses[0]

    async def _body(self, response: httpx.Response) -> bytes:
        data = bytearray()
        async for part in response.aiter_raw():
            data += part
            if len(data) > self.most_bytes:
                raise RefusedUrl(f"the file is larger than {self.most_bytes / 1e6:g} MB")
        return bytes(data)


async def fetch_all(fetcher: Fetcher, urls: Sequence[str]) -> list[Upload | ImageError]:
    """Return the files at some URLs, in order, four at a time."""
    found: list[Upload | ImageError | None] = [None] * len(urls)
    slots = anyio.Semaphore(4)

    async def one(index: int, url: str) -> None:
        async with slots:
            found[index] = await fetcher.fetch(url)

    async with anyio.create_task_group() as tasks:
        for index, url in enumerate(urls):
            tasks.start_soon(one, index, url)
    return [each for each in found if each is not None]
