"""Load on `snellen serve`: python scripts/load_serve.py [REQUESTS [JUDGED]] (default 10000 600). Loopback only.

REQUESTS go to a server with scripted replies, so that the server itself is what is measured; JUDGED to snellen-1.
1, 8 and 64 clients, each answer compared with that of the same picture without a server; hostile uploads in between;
memory along the way; the server killed and started again under load; a drain under load; a full queue; rewards.
Every check is printed; the first that fails ends the run.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from hostile_requests import FORM, encoded, hostile

from snellen.apps.serve.assess import score_dict
from snellen.assessor import Assessor
from snellen.image import load

ROOT = Path(__file__).resolve().parents[1]
DIFFERENT = 60
"""Pictures that the requests are drawn from."""
REPLY = (
    '<think></think><answer>{"bbox_2d": [0.00, 0.00, 0.00, 0.00], "rating": 3.50, "tool": "final", '
    '"issues": []}</answer>'
)


def check(said: str, true: bool) -> None:
    """Print a line; end the run where it does not hold."""
    print(f"{'ok  ' if true else 'FAIL'} {said}", flush=True)
    if not true:
        sys.exit(1)


class Server:
    """A running server: `address` and its process."""

    def __init__(self, port: int = 0, *options: str) -> None:
        command = [sys.executable, "-m", "snellen", "serve", "--port", str(port), *options]
        with tempfile.NamedTemporaryFile(suffix=".log", delete=False) as log:
            self.log = Path(log.name)
            self.process = subprocess.Popen(command, stderr=log)
        while (found := re.search(r"http://\S+\n", self.log.read_text())) is None:
            if self.process.poll() is not None:
                sys.exit(f"the server did not start: {self.log.read_text()}")
            time.sleep(0.05)
        self.address = found[0].strip()
        self.port = int(self.address.rpartition(":")[2])

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal, wait for the end, return the exit code; the log must hold no traceback."""
        self.process.send_signal(how)
        code = self.process.wait()
        said = self.log.read_text(errors="replace")
        self.log.unlink()
        if "Traceback" in said:
            check(f"the server's log holds a traceback:\n{said[-4000:]}", False)
        return code

    @property
    def megabytes(self) -> float:
        """Resident memory."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    @property
    def seconds(self) -> float:
        """Processor time so far."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


@contextmanager
def running(*options: str) -> Iterator[Server]:
    """Run a server until the block ends."""
    server = Server(0, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def offline(pictures: Sequence[bytes], model: str = "snellen-1") -> list[dict[str, Any]]:
    """Return what /v1/score answers in score-only mode, without a server."""
    found = Assessor(model, score_only=True).assess(
        [load(data, name=f"{index}") for index, data in enumerate(pictures)]
    )
    return [json.loads(json.dumps(score_dict(one))) for one in found]


async def ask(client: httpx.AsyncClient, pictures: Sequence[bytes], index: int) -> Any:
    """Return the answer for one picture; it is asked again while the queue is full."""
    while True:
        answer = await client.post(
            "/v1/score", files={"picture": (f"../../{index}", pictures[index])}, data={"score_only": "true"}
        )
        if answer.status_code != 429:
            answer.raise_for_status()
            return answer.json()["scores"][0]
        await asyncio.sleep(float(answer.headers["Retry-After"]))


async def load_on(
    address: str, clients: int, jobs: Sequence[int], one: Callable[[httpx.AsyncClient, int], Awaitable[None]]
) -> list[float]:
    """Do jobs with so many clients at a time; return the seconds of each."""
    waiting = iter(jobs)
    times: list[float] = []

    async def work() -> None:
        async with httpx.AsyncClient(base_url=address, timeout=300) as client:
            for job in waiting:
                began = time.monotonic()
                await one(client, job)
                times.append(time.monotonic() - began)

    await asyncio.gather(*(work() for _ in range(clients)))
    return times


async def offend(address: str, seed: int, seen: Counter[str]) -> None:
    """Send one hostile request, or begin one and go away."""
    if seed % 10 == 9:
        host, _, port = address.removeprefix("http://").partition(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        head = (
            f"POST /v1/assess HTTP/1.1\r\nHost: {host}\r\nContent-Type: {FORM}\r\nContent-Length: 50000\r\n\r\n--b\r\n"
        )
        writer.write(head.encode())
        await writer.drain()
        writer.close()
        seen["goes away: no answer"] += 1
        return
    name, body, headers = hostile(seed)
    async with httpx.AsyncClient(base_url=address, timeout=300) as client:
        try:
            answer = await client.post(
                "/v1/score", content=body, headers={k.encode(): v.encode("latin-1") for k, v in headers.items()}
            )
        except httpx.TransportError:  # the server closes the connection while a huge header comes
            seen[f"{name}: connection closed"] += 1
            return
        status = str(answer.status_code)
        if answer.status_code == 200:
            error = answer.json()["scores"][0]["error"]
            status += f" {error['code']}" if error else " scored"
        if answer.status_code >= 500:
            check(f"{name} fails the server: {answer.text[:200]}", False)
        seen[f"{name}: {status}"] += 1


def measure(
    server: Server, clients: int, jobs: Sequence[int], pictures: Sequence[bytes], expected: Any, seen: Counter[str]
) -> None:
    """Load with some clients, hostile requests in between, and print what came of it."""
    wrong: list[int] = []

    async def one(client: httpx.AsyncClient, job: int) -> None:
        index = job % len(pictures)
        if job % 20 == 0:
            await offend(server.address, job // 20, seen)
        if await ask(client, pictures, index) != expected[index]:
            wrong.append(job)

    began, used = time.monotonic(), server.seconds
    times = sorted(asyncio.run(load_on(server.address, clients, jobs, one)))
    lasted, used = time.monotonic() - began, server.seconds - used
    p50, p95, p99 = (1000 * times[min(len(times) - 1, int(q * len(times)))] for q in (0.5, 0.95, 0.99))
    print(
        f"     {clients:2} clients, {len(jobs)} requests: {len(jobs) / lasted:.1f} per second, "
        f"{len(jobs) / used:.1f} per processor second; p50 {p50:.0f} ms, p95 {p95:.0f}, p99 {p99:.0f}; "
        f"memory {server.megabytes:.0f} MB",
        flush=True,
    )
    check(f"{len(jobs)} answers are those without a server, {len(wrong)} are not", not wrong)


def many(server: Server, requests: int, pictures: Sequence[bytes], expected: Any) -> None:
    """Load with 1, 8 and 64 clients, then with 8 to the end; memory from first to last."""
    seen: Counter[str] = Counter()
    done = max(1, min(200, requests // 10))
    measure(server, 8, range(done), pictures, expected, seen)
    before, warm = server.megabytes, done
    shares = {1: requests // 20, 8: requests // 10, 64: 3 * requests // 10}
    for clients, count in shares.items():
        measure(server, clients, range(done, done + count), pictures, expected, seen)
        done += count
    while done < requests:
        count = min(max(1, requests // 4), requests - done)
        measure(server, 8, range(done, done + count), pictures, expected, seen)
        done += count
    after = server.megabytes
    for line, count in sorted(seen.items()):
        print(f"     hostile: {count:4} {line}")
    check(f"memory {before:.0f} MB after {warm} requests, {after:.0f} MB after {done}", after < 1.25 * before + 20)


def two_rounds(server: Server) -> None:
    """Compare whole assessments, in two rounds, of photographs."""
    paths = sorted((ROOT / "examples").glob("*.jpg"))[:6]
    expected = [
        json.loads(json.dumps(one.to_dict()))
        for one in Assessor().assess([load(path.read_bytes(), name=path.name) for path in paths])
    ]
    wrong = []

    async def one(client: httpx.AsyncClient, job: int) -> None:
        path = paths[job % len(paths)]
        answer = await client.post("/v1/assess", files={"p": (path.name, path.read_bytes())})
        if answer.json()["assessments"] != [expected[job % len(paths)]]:
            wrong.append(job)

    asyncio.run(load_on(server.address, 6, range(12), one))
    rounds = sum(len(one["steps"]) for one in expected)
    check(
        f"12 assessments of {len(paths)} photographs ({rounds} rounds), by 6 clients, equal those without a server",
        not wrong,
    )


def killed(pictures: Sequence[bytes], expected: Any) -> None:
    """Kill the server under load, start it again at the same port: every request is answered in the end, and right."""
    server = Server()
    broken: Counter[str] = Counter()
    wrong: list[int] = []
    answered = 0

    async def one(client: httpx.AsyncClient, job: int) -> None:
        nonlocal answered
        index = job % len(pictures)
        while True:
            try:
                found = await ask(client, pictures, index)
                break
            except httpx.TransportError as error:
                broken[type(error).__name__] += 1
                await asyncio.sleep(0.2)
        answered += 1
        if found != expected[index]:
            wrong.append(job)

    async def kill() -> Server:
        while answered < 40:
            await asyncio.sleep(0.02)
        await asyncio.to_thread(server.stop, signal.SIGKILL)
        return await asyncio.to_thread(Server, server.port)

    async def both() -> Server:
        again = asyncio.ensure_future(kill())
        await load_on(server.address, 16, range(160), one)
        return await again

    again = asyncio.run(both())
    check(
        f"killed and started again under load: {answered} of 160 answered, {len(wrong)} wrong; broken requests, sent "
        f"again: {sum(broken.values())}",
        answered == 160 and not wrong and bool(broken),
    )
    drained(again, pictures, expected)


def drained(server: Server, pictures: Sequence[bytes], expected: Any) -> None:
    """Send SIGTERM while requests run: they are answered, new ones are not accepted, the exit code is 0."""
    outcome: Counter[str] = Counter()

    async def one(index: int) -> None:
        async with httpx.AsyncClient(base_url=server.address, timeout=300) as client:
            try:
                found = await ask(client, pictures, index)
                outcome["right" if found == expected[index] else "wrong"] += 1
            except httpx.TransportError:
                outcome["broken"] += 1

    async def all_of_them() -> int:
        begun = [asyncio.ensure_future(one(index)) for index in range(24)]
        async with httpx.AsyncClient(base_url=server.address) as client:
            while (await client.get("/healthz")).json()["waiting"] < 15:
                await asyncio.sleep(0.01)
        code = await asyncio.to_thread(server.stop)
        await asyncio.gather(*begun)
        await one(0)
        return code

    code = asyncio.run(all_of_them())
    check(f"SIGTERM with 24 requests running: {dict(outcome)}; exit code {code}",
          outcome == {"right": 24, "broken": 1} and code == 0)  # fmt: skip


def full(pictures: Sequence[bytes], expected: Any) -> None:
    """More than the queue holds: 429 with Retry-After, and everything is answered after waiting."""
    refused: Counter[str] = Counter()
    wrong: list[int] = []

    async def one(client: httpx.AsyncClient, job: int) -> None:
        while True:
            files = [("p", (f"../{job}", pictures[job]))] * 4
            answer = await client.post("/v1/score", files=files, data={"score_only": "true"})
            if answer.status_code == 429:
                refused[answer.headers["Retry-After"]] += 1
                await asyncio.sleep(float(answer.headers["Retry-After"]))
                continue
            if answer.json()["scores"] != [expected[job]] * 4:
                wrong.append(job)
            return

    with running("--queue", "8") as server:
        asyncio.run(load_on(server.address, 20, range(20), one))
    check(f"20 requests of 4 pictures, room for 8: {sum(refused.values())} times 429, all answered in the end, "
          f"{len(wrong)} wrong", bool(refused) and not wrong)  # fmt: skip


def half_a_head(server: Server) -> None:
    """A client that sends half of a head, or nothing, is closed; others are answered meanwhile."""

    async def half(sent: bytes) -> float:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        began = time.monotonic()
        writer.write(sent)
        await reader.read()
        writer.close()
        return time.monotonic() - began

    async def both() -> list[float]:
        return list(await asyncio.gather(half(b""), half(b"GET /healthz HTTP/1.1\r\nHost: loc")))

    times = asyncio.run(both())
    check(f"connections without a whole head are closed after {max(times):.0f} s", min(times) > 15 and max(times) < 60)


def rewards(server: Server) -> None:
    """Rewards of pictures of 512 px, 32 a request."""
    pictures = [encoded(512, seed) for seed in range(32)]
    files = [("p", (f"{index}", data)) for index, data in enumerate(pictures)]
    expected = [one["score"] for one in offline(pictures)]
    began, used = time.monotonic(), server.seconds
    with httpx.Client(base_url=server.address, timeout=300) as client:
        answers = [client.post("/v1/reward", files=files).json()["rewards"] for _ in range(3)]
    lasted, used = time.monotonic() - began, server.seconds - used
    print(
        f"     rewards of 96 pictures, 512 x 384 px: {96 / lasted:.1f} per second, {96 / used:.1f} per processor second"
    )
    check("rewards are the scores without a server", answers == [expected] * 3)


def main(arguments: Sequence[str]) -> int:
    """Run all; return the exit code."""
    requests, judged = (int(text) for text in (*arguments, *("10000", "600")[len(arguments) :]))
    pictures = [encoded(64, seed) for seed in range(DIFFERENT)]
    expected = offline(pictures)
    print(f"     load of the machine at the beginning: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    with running() as server:
        print("     snellen-1")
        half_a_head(server)
        two_rounds(server)
        rewards(server)
        many(server, judged, pictures, expected)
        check("the server still answers", httpx.get(server.address + "/healthz").json()["status"] == "ok")
    killed(pictures, expected)
    full(pictures, expected)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "replies.jsonl"
        script.write_text(json.dumps(REPLY) + "\n")
        with running("--model", f"scripted:{script}") as server:
            print("     scripted replies")
            many(server, requests, pictures, offline(pictures, f"scripted:{script}"))
    print(f"     load of the machine at the end: {os.getloadavg()[0]:.1f}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
