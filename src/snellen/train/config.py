"""`snellen train`: a stage of training from a file that says everything about it, and is saved with the run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from tokenizers import Tokenizer

from snellen.backends.taught import (
    NOTHING,
    UNLIKED,
    Phrase,
    phrases_of,
    suiting,
    suiting_findings,
    suiting_places,
    suiting_severities,
    write_phrases,
)
from snellen.data.sample import Sample, read_manifest
from snellen.rationale.lexicon import places_in
from snellen.rationale.patterns import clauses
from snellen.reply import Issue, parse_reply
from snellen.snellen1.decoder import DecoderShape
from snellen.snellen1.tokenizer import train_tokenizer
from snellen.train.grpo import RlOptions, train_grpo
from snellen.train.sft import SeenLooks, SftOptions, train_sft
from snellen.train.snellen1.batch import Row, encode_rounds, rounds_of
from snellen.train.snellen1.policy import open_policy
from snellen.train.snellen1.views import HELD_OUT, training_pictures
from snellen.vocabulary import LIKED

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Config = TypeVar("Config")


class ConfigError(ValueError):
    """A configuration that cannot be used; the text names the file, the key, what is wrong and the remedy."""


@dataclass(frozen=True)
class SftConfig:
    """Stage 1. vectors: folder of stored look vectors; rationales: the conversations, JSON lines; out: folder of the
    run; start: decoder.pt to go on from, with the tokenizer.json beside it."""

    vectors: Path
    rationales: Path
    out: Path
    start: Path | None = None
    options: SftOptions = SftOptions()


@dataclass(frozen=True)
class RlConfig:
    """Stage 2. vision: vision.pt; sft: folder that stage 1 left; manifest: human-rated pictures; synthetic: manifest of
    pictures with known faults; out: folder of the run; looks: file that keeps encoded looks, to be shared by runs
    with the same encoder (out/looks.db). held_out: pictures of the manifest that no stage trains on."""

    vision: Path
    sft: Path
    manifest: Path
    out: Path
    synthetic: Path | None = None
    looks: Path | None = None
    held_out: int = HELD_OUT
    options: RlOptions = RlOptions()


def read_config(file: Path, kind: type[Config]) -> Config:
    """Read a TOML file whose keys are the fields of `kind`, [options] its options and [options.rewards] name = weight.

    Paths are taken from the working folder. Raises ConfigError.
    """
    try:
        return _build(kind, tomllib.loads(file.read_text(encoding="utf8")))
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror or error}; check the path") from error
    except (ValueError, TypeError) as error:  # TOMLDecodeError is a ValueError
        raise ConfigError(f"{file}: {error}; correct the file") from error


def _build(kind: type[Config], values: Mapping[str, Any]) -> Config:
    assert is_dataclass(kind)
    known = {one.name: one for one in fields(kind)}
    for name in values:
        if name not in known:
            raise ValueError(f"unknown key {name!r}; the keys are {', '.join(known)}")
    missing = [name for name, one in known.items() if one.default is MISSING and name not in values]
    if missing:
        raise ValueError(f"no {missing[0]!r}")
    built = {name: _value(name, value, known[name].type, known[name].default) for name, value in values.items()}
    return kind(**built)


def _value(name: str, value: object, declared: object, default: object) -> object:
    if is_dataclass(default):
        if not isinstance(value, dict):
            raise TypeError(f"{name} is a table, not {value!r}")
        return _build(type(default), value)
    if name == "rewards":
        if not isinstance(value, dict) or not all(type(weight) in (int, float) for weight in value.values()):
            raise TypeError(f"rewards is a table of name = weight, not {value!r}")
        return tuple((reward, float(weight)) for reward, weight in value.items())
    if str(declared).startswith("Path"):
        if not isinstance(value, str):
            raise TypeError(f"{name} is a path in quotes, not {value!r}")
        return Path(value)
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise TypeError(f"{name} is {type(default).__name__}, not {value!r}")
    return value


def run_sft(config: SftConfig) -> None:
    """Supervised fine-tuning; writes to `config.out` and resumes from there."""
    _save(config, config.out)
    lines = [json.loads(line) for line in config.rationales.read_text(encoding="utf8").splitlines()]
    known = config.start.parent if config.start else config.out
    if config.start or (known / "tokenizer.json").exists():
        tokenizer = Tokenizer.from_file(str(known / "tokenizer.json"))
    else:
        tokenizer = train_tokenizer(one["reply"] for line in lines for one in line["rounds"])
    write_phrases(taught_phrases(lines), config.out)
    rows: dict[bool, list[Row]] = {True: [], False: []}
    for line in lines:
        rows[line["held_out"]].append(encode_rounds(tokenizer, rounds_of(line)))
    shape, vectors = DecoderShape(tokenizer.get_vocab_size()), SeenLooks.open(config.vectors)
    train_sft(config.options, shape, tokenizer, rows[False], rows[True], vectors, config.out, config.start)


def taught_phrases(lines: Iterable[Mapping[str, Any]]) -> dict[Phrase, frozenset[str]]:
    """All phrases of the replies that conversations teach, with what they suit (see `suits`)."""
    replies: dict[str, tuple[str, ...]] = {}
    for line in lines:
        for number, one in enumerate(rounds_of(line), 1):
            if one.teaches != "nothing":
                issues = parse_reply(one.reply, number).answer.issues
                replies[one.reply] = found_in(issues, one.rating)
    phrases = phrases_of(replies)
    found, severe = suiting_findings(replies), suiting_severities(phrases)
    places = suiting_places(phrases, places_in)
    return {
        phrase: suited | found[phrase] | severe[phrase] | places[phrase]
        for phrase, suited in suiting(phrases, clauses()).items()
    }


def found_in(issues: Sequence[Issue], rating: float) -> tuple[str, ...]:
    """What looks find, to go by what is said of it: NOTHING or UNLIKED, or the kinds, the worst first."""
    kinds = tuple(dict.fromkeys(issue.kind for issue in issues))
    return kinds or (NOTHING if rating >= LIKED else UNLIKED,)


def run_rl(config: RlConfig) -> None:
    """Reinforcement learning; writes to `config.out` and resumes from there."""
    _save(config, config.out)
    policy = open_policy(config.vision, config.sft, config.looks or config.out / "looks.db")
    real, _ = real_samples(config.manifest, config.held_out)
    synthetic = [] if config.synthetic is None else read_manifest(config.synthetic)
    train_grpo(config.options, policy, real, [one for one in synthetic if one.split == "train"], config.out)


def real_samples(manifest: Path, held_out: int) -> tuple[list[Sample], list[Sample]]:
    """(trained on, held out) of a manifest: only its training split, without scenes that the test split shows too."""
    return training_pictures([sample for sample in read_manifest(manifest) if sample.mos is not None], held_out)


def _save(config: SftConfig | RlConfig, out: Path) -> None:
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.json").write_text(json.dumps(asdict(config), indent=1, default=str) + "\n", encoding="utf8")
