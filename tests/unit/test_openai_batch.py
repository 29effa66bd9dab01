"""Requests in files: two rounds, killed runs, failed and repeated requests."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pictures import noise, noise_picture, save_noise
from PIL import Image
from scripted_server import Answer, Asked, chat, refuse, reply_text

from snellen.apps.folder import score_folder
from snellen.assessor import Assessor
from snellen.backend import BackendError
from snellen.backends import open_backend, openai_batch
from snellen.backends.openai_batch import BatchBackend, custom_id
from snellen.usage import UsageError


def well_formed(asked: Asked) -> Answer:
    return chat(reply_text(asked.round))


def requests(job: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(job.glob("requests-*.jsonl")) for line in path.open()]


def run_batch(job: Path, number: int, respond: Callable[[Asked], Answer] = well_formed, reverse: bool = True) -> int:
    """Do what `vllm run-batch` does with one file of requests; the order of replies is free."""
    asked = [json.loads(line) for line in (job / f"requests-{number:03d}.jsonl").open()]
    lines = []
    for index, one in enumerate(asked):
        answer = respond(Asked(index, one["method"], one["url"], {}, one["body"]))
        response = {"status_code": answer.status, "request_id": str(index), "body": answer.body}
        lines.append({"id": str(index), "custom_id": one["custom_id"], "response": response, "error": None})
    with (job / f"replies-{number:03d}.jsonl").open("w") as file:
        file.writelines(json.dumps(line) + "\n" for line in lines[:: -1 if reverse else 1])
    return len(asked)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    for index in range(3):
        save_noise(tmp_path / "photos" / f"{index}.png", 340, 60, seed=index)
    return tmp_path / "photos"


def score(photos: Path, **options: Any) -> list[Any]:
    model = f"openai-batch:{photos.parent / 'job'}#eye-7b"
    return score_folder(photos, photos.parent / "scores.csv", model, resume=True, **options)


def test_two_rounds_through_files(photos: Path) -> None:
    job = photos.parent / "job"
    with pytest.raises(BackendError, match=r"3 of 3 pictures wait for replies.*requests"):
        score(photos)
    assert not (photos.parent / "scores.csv").exists()
    assert run_batch(job, 1) == 3
    with pytest.raises(BackendError, match="3 of 3 pictures wait"):
        score(photos)
    assert run_batch(job, 2) == 3
    rows = score(photos)
    assert [(row.path, row.score, row.rounds) for row in rows] == [(f"{n}.png", 3.47, 2) for n in range(3)]
    sent = requests(job)
    assert len({one["custom_id"] for one in sent}) == len(sent) == 6
    assert [one["custom_id"].partition("-")[0] for one in sent] == ["round1"] * 3 + ["round2"] * 3
    first, last = sent[0], sent[-1]
    assert (first["method"], first["url"]) == ("POST", "/v1/chat/completions")
    assert {key: first["body"][key] for key in ("model", "max_tokens", "top_logprobs")} == {
        "model": "eye-7b", "max_tokens": 512, "top_logprobs": 20,
    }  # fmt: skip
    assert [turn["role"] for turn in last["body"]["messages"]] == ["user", "assistant", "user"]


def test_nothing_is_asked_twice_and_nothing_is_lost(photos: Path) -> None:
    job = photos.parent / "job"
    for _ in range(2):  # asked again before there are replies: nothing new
        with pytest.raises(BackendError, match="3 of 3"):
            score(photos)
    whole = (job / "requests-001.jsonl").read_bytes()
    (job / "requests-001.jsonl").write_bytes(whole[:-40])  # killed while it wrote the last request
    with pytest.raises(BackendError, match="3 of 3"):
        score(photos)
    assert len((job / "requests-001.jsonl").read_bytes().splitlines()) == 2
    assert len((job / "requests-002.jsonl").read_bytes().splitlines()) == 1
    assert len({one["custom_id"] for one in requests(job)}) == len(requests(job)) == 3
    run_batch(job, 1)
    replies = (job / "replies-001.jsonl").read_bytes()
    (job / "replies-001.jsonl").write_bytes(replies[:-40])  # and the service was killed too
    with pytest.raises(BackendError, match="3 of 3"):
        score(photos)  # one second round, two pictures still in round one
    assert len(requests(job)) == 4
    (job / "replies-001.jsonl").write_bytes(replies)
    run_batch(job, 2)
    run_batch(job, 3)
    with pytest.raises(BackendError, match="2 of 3"):
        score(photos)
    assert run_batch(job, 4) == 2
    assert [row.score for row in score(photos)] == [3.47] * 3
    assert len({one["custom_id"] for one in requests(job)}) == len(requests(job)) == 6


def test_a_refusal_is_the_pictures_row_and_an_overload_is_asked_again(photos: Path) -> None:
    job = photos.parent / "job"
    with pytest.raises(BackendError, match="3 of 3"):
        score(photos, max_rounds=1)
    answers = iter([refuse("content policy"), refuse("overloaded", 503), chat(reply_text(1, tool="final"))])
    run_batch(job, 1, lambda asked: next(answers))
    with pytest.raises(BackendError, match="1 of 3"):
        score(photos, max_rounds=1)
    assert len(requests(job)) == 4 and requests(job)[3]["custom_id"] == requests(job)[1]["custom_id"]
    with pytest.raises(BackendError, match="1 of 3"):
        score(photos, max_rounds=1)
    assert len(requests(job)) == 4  # asked again once for each failure
    run_batch(job, 2, lambda asked: chat(reply_text(1, tool="final")))
    rows = score(photos, max_rounds=1)
    assert [(row.score, row.error) for row in rows] == [(None, "no_reply"), (3.47, None), (3.47, None)]
    assert "status 400" in rows[0].problem and "content policy" in rows[0].problem


def test_expired_requests_of_a_hosted_service_are_asked_again(photos: Path) -> None:
    job = photos.parent / "job"
    with pytest.raises(BackendError, match="3 of 3"):
        score(photos)
    names = [one["custom_id"] for one in requests(job)]
    expired = {"response": None, "error": {"code": "batch_expired", "message": "too late"}}
    (job / "replies-x.jsonl").write_text("".join(json.dumps({"custom_id": name, **expired}) + "\n" for name in names))
    with pytest.raises(BackendError, match="3 of 3"):
        score(photos)
    assert [one["custom_id"] for one in requests(job)] == names * 2


def test_files_stay_below_the_limits_of_services(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(openai_batch, "MAX_REQUESTS", 2)
    pictures = [noise_picture(40, 40, seed) for seed in range(5)]
    results = Assessor(BatchBackend(f"{tmp_path}#m"))(pictures)
    assert {one.error.code for one in results if one.error} == {"waiting"}
    assert [len(path.read_bytes().splitlines()) for path in sorted(tmp_path.iterdir())] == [2, 2, 1]
    monkeypatch.setattr(openai_batch, "MAX_BYTES", 1)
    Assessor(BatchBackend(f"{tmp_path}#other"))(pictures[:2])
    assert len(list(tmp_path.iterdir())) == 5


def png_url(pixels: Any, compress_level: int) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG", compress_level=compress_level)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def test_the_name_of_a_request_follows_from_what_it_says_and_shows(tmp_path: Path) -> None:
    backend = BatchBackend(f"{tmp_path}#m")
    Assessor(backend)([noise_picture(340, 60)])
    (one,) = requests(tmp_path)
    assert custom_id(one["body"]) == one["custom_id"]
    url = one["body"]["messages"][0]["content"][0]["image_url"]
    url["url"] = png_url(noise(340, 60), 9)
    assert custom_id(one["body"]) == one["custom_id"]  # other bytes, the same pixels
    url["url"] = png_url(noise(340, 60, 1), 1)
    assert custom_id(one["body"]) != one["custom_id"]
    assert custom_id({**one["body"], "model": "n"}) != custom_id(one["body"])


def test_what_the_server_can_do_is_told_in_a_file(tmp_path: Path) -> None:
    settings = tmp_path / "server.json"
    settings.write_text(json.dumps({"limit": "max_completion_tokens", "top_logprobs": 0, "refused": ["temperature"]}))
    Assessor(BatchBackend(f"{tmp_path}#m"))([noise_picture(40, 40)])
    (one,) = requests(tmp_path)
    assert one["body"]["max_completion_tokens"] == 512
    assert {"max_tokens", "logprobs", "temperature"}.isdisjoint(one["body"])
    for wrong in ("[1]", "{", '{"speed": 1}'):
        settings.write_text(wrong)
        with pytest.raises(BackendError, match=r"server\.json cannot be read"):
            BatchBackend(f"{tmp_path}#m")


def test_score_only_asks_for_the_rating_alone(photos: Path) -> None:
    with pytest.raises(BackendError, match="3 of 3"):
        score(photos, score_only=True)
    run_batch(photos.parent / "job", 1, lambda asked: chat('{"rating": 2.75}'))
    assert [row.score for row in score(photos, score_only=True)] == [2.75] * 3


@pytest.mark.parametrize("address", ["job", "#m", "job#"])
def test_an_address_without_folder_or_model_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match="FOLDER#MODEL"):
        open_backend(f"openai-batch:{address}")


def test_a_job_is_written_by_one_process(photos: Path) -> None:
    with pytest.raises(UsageError, match="leave --workers out"):
        score(photos, workers=2)
