"""`snellen train sft|rl --config FILE.toml`: one file describes a run, and is saved with it."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, asdict, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, TypeVar

from snellen.backend import Policy, Round, model_folder
from snellen.data.sample import Sample, read_manifest
from snellen.train.demonstrations import Demonstrations, read_conversations
from snellen.train.grpo import RlOptions, train_grpo
from snellen.train.lora import LoraOptions, LoraPolicy
from snellen.train.regularizers import open_regulariser
from snellen.train.sampler import open_sampler
from snellen.train.sft import SftOptions, train_sft
from snellen.train.snellen1.demonstrations import demonstrations
from snellen.train.snellen1.policy import Snellen1Policy
from snellen.train.snellen1.views import HELD_OUT, training_pictures
from snellen.usage import UsageError

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Config = TypeVar("Config")


class ConfigError(UsageError):
    """A configuration that cannot be used. The message names the file, the key, what is wrong and what to do."""


@dataclass(frozen=True)
class ModelConfig:
    """The model of a run.

    model: "snellen-1", a folder of its format (with card.json), or "hf:PATH", a vision-language model that gets a LoRA
    adapter. out: folder of the run. start: folder of an earlier run whose weights this one begins with; its policy is
    then the reference. features: file that keeps snellen-1's features of views, None for out/features.db. server:
    http://HOST/v1#MODEL, a vLLM server that samples for an hf: model; "" for sampling here.
    """

    model: str
    out: Path
    start: Path | None = None
    features: Path | None = None
    server: str = ""
    lora: LoraOptions = LoraOptions()


@dataclass(frozen=True)
class SftConfig(ModelConfig):
    """Stage 1. conversations: JSON lines of `snellen data build`, for hf: models. learn: "reply", or "rating" for the
    tokens of its rating alone. For snellen-1 instead manifest: human-rated pictures, and synthetic: pictures with known
    faults. held_out: pictures of the manifest that are never trained on."""

    conversations: Path | None = None
    learn: str = "reply"
    manifest: Path | None = None
    synthetic: Path | None = None
    held_out: int = HELD_OUT
    options: SftOptions = SftOptions()

    def __post_init__(self) -> None:
        if self.learn not in ("reply", "rating"):
            raise ValueError(f'learn is "reply" or "rating", not {self.learn!r}')


@dataclass(frozen=True)
class RlConfig(ModelConfig):
    """Stage 2. manifest: human-rated pictures. synthetic: pictures with known faults. held_out: pictures of the
    manifest that are never trained on. sampler: progressive or uniform. regulariser: kl_coverage, kl, entropy or
    none."""

    manifest: Path | None = None
    synthetic: Path | None = None
    held_out: int = HELD_OUT
    sampler: str = "progressive"
    regulariser: str = "kl_coverage"
    options: RlOptions = RlOptions()

    def __post_init__(self) -> None:
        open_sampler(self.sampler), open_regulariser(self.regulariser)


def read_config(
    file: Path | None, kind: type[Config], given: Mapping[str, str] | None = None, settings: Sequence[str] = ()
) -> Config:
    """Return the configuration in a TOML file: its keys are the fields of `kind`, tables those of nested dataclasses.

    [options.rewards] is a table of name = weight. Relative paths are taken from the working directory. given: keys that
    replace the file's. settings: lines of TOML, "options.steps = 20", that replace them too. Raises ConfigError.
    """
    source = "the command line" if file is None else str(file)
    try:
        values: dict[str, Any] = {} if file is None else tomllib.loads(file.read_text(encoding="utf8"))
        values.update(given or {})
        for line in settings:
            _replace(values, tomllib.loads(line))
        return _build(kind, values)
    except OSError as error:
        raise ConfigError(f"{source}: {error.strerror or error}; check the path") from error
    except (ValueError, TypeError) as error:  # TOMLDecodeError is a ValueError
        raise ConfigError(f"{source}: {error}; correct it") from error


def _replace(values: dict[str, Any], new: Mapping[str, Any]) -> None:
    for name, value in new.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            _replace(values[name], value)
        else:
            values[name] = value


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
    if str(declared).startswith(("Path", "str")):
        if not isinstance(value, str):
            raise TypeError(f"{name} is a text in quotes, not {value!r}")
        return Path(value) if str(declared).startswith("Path") else value
    if isinstance(default, float) and type(value) is int:
        return float(value)
    if type(value) is not type(default):
        raise TypeError(f"{name} is {type(default).__name__}, not {value!r}")
    return value


def run_sft(config: SftConfig) -> None:
    """Run supervised fine-tuning; writes to `config.out` and resumes from there. Raises ConfigError."""
    _save(config)
    policy = open_policy(config, seed=config.options.seed)
    rounds: Sequence[Round]
    held: Sequence[Round]
    if isinstance(policy, LoraPolicy):
        if config.conversations is None:
            raise ConfigError(f"no conversations for {config.model}; write them with `snellen data build`")
        reply_of = policy.rating_of if config.learn == "rating" else policy.reply_of
        rounds, held = (Demonstrations(one, reply_of) for one in read_conversations(config.conversations))
    else:
        assert isinstance(policy, Snellen1Policy)
        real, validation = real_samples(config.manifest, config.held_out)
        synthetic = {split: synthetic_samples(config.synthetic, split) for split in ("train", "val")}
        rounds = [*demonstrations(policy, real, True), *demonstrations(policy, synthetic["train"], False)]
        held = [*demonstrations(policy, validation, True), *demonstrations(policy, synthetic["val"], False)]
    if not rounds:
        raise ConfigError("no pictures to learn from; check the manifests and their splits")
    train_sft(config.options, policy, rounds, held, config.out)


def run_rl(config: RlConfig) -> None:
    """Run reinforcement learning; writes to `config.out` and resumes from there. Raises ConfigError."""
    _save(config)
    policy = open_policy(config, rounds=config.options.rounds, seed=config.options.seed)
    real, _ = real_samples(config.manifest, config.held_out)
    synthetic = synthetic_samples(config.synthetic, "train")
    wanted = (("manifest", real, config.options.real), ("synthetic", synthetic, config.options.synthetic))
    for key, samples, count in wanted:
        if len(samples) < count:
            name = "real" if key == "manifest" else "synthetic"
            problem = f"{key} has {len(samples)} pictures to train on, but a step draws options.{name} = {count}"
            raise ConfigError(f"{problem}; name a larger manifest, or draw fewer")
    regulariser, sampler = open_regulariser(config.regulariser), open_sampler(config.sampler)
    train_grpo(config.options, policy, real, synthetic, config.out, regulariser=regulariser, sampler=sampler)


def open_policy(config: ModelConfig, *, rounds: int = 2, seed: int = 0) -> Policy:
    """Open the model that a configuration names, for training. rounds: at most, of snellen-1.

    Raises ConfigError for a model that is none of the three forms, BackendError where it cannot be opened.
    """
    if config.model.startswith("hf:"):
        from snellen.train.server_rollouts import ServerRollouts  # here, because it needs the extra openai

        server = (
            ServerRollouts(config.server, config.out / "adapters", config.lora.long_side) if config.server else None
        )
        path = config.model.removeprefix("hf:")
        return LoraPolicy(path, config.lora, start=config.start, seed=seed, server=server)
    folder = model_folder(config.model)
    if folder is None:
        raise ConfigError(f"model {config.model!r} is not snellen-1, a folder with card.json, or hf:PATH")
    features = config.features or config.out / "features.db"
    return Snellen1Policy(folder, config.start, rounds=rounds, features=features, seed=seed)


def real_samples(manifest: Path | None, held_out: int) -> tuple[list[Sample], list[Sample]]:
    """Return (training, held out) pictures of a manifest of human-rated ones, without the test split and without scenes
    that the test split shows too; nothing where manifest is None."""
    samples = [] if manifest is None else read_manifest(manifest)
    return training_pictures([sample for sample in samples if sample.mos is not None], held_out)


def synthetic_samples(manifest: Path | None, split: str) -> list[Sample]:
    """Return the pictures of one split of a manifest; nothing where it is None."""
    return [] if manifest is None else [sample for sample in read_manifest(manifest) if sample.split == split]


def _save(config: ModelConfig) -> None:
    config.out.mkdir(parents=True, exist_ok=True)
    (config.out / "run.json").write_text(json.dumps(asdict(config), indent=1, default=str) + "\n", encoding="utf8")
