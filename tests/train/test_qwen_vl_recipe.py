"""The memory arithmetic of recipes/qwen-vl, and its GPU check on the CPU."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

transformers: Any = pytest.importorskip("transformers")
pytest.importorskip("peft")

from accelerate.commands.config.config_args import load_config_from_file  # noqa: E402

from snellen.train.config import RlConfig, SftConfig, read_config  # noqa: E402

FOLDER = Path(__file__).parents[2] / "recipes" / "qwen-vl"


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, FOLDER / f"{name}.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def memory() -> ModuleType:
    return script("memory")


@pytest.mark.parametrize("model", ["Qwen2.5-VL-7B", "Qwen2.5-VL-3B", "Qwen3-VL-4B"])
def test_parameters_are_those_of_the_models_own_classes(memory: ModuleType, model: str) -> None:
    config = memory.configuration(model)
    new = config["family"] == "qwen3_vl"
    kind = transformers.Qwen3VLConfig if new else transformers.Qwen2_5_VLConfig
    network = transformers.Qwen3VLForConditionalGeneration if new else transformers.Qwen2_5_VLForConditionalGeneration
    tied = config["text_config"]["tie_word_embeddings"]
    described = kind(text_config=config["text_config"], vision_config=config["vision_config"], tie_word_embeddings=tied)
    with torch.device("meta"):
        made = network(described)
    made.tie_weights()
    assert memory.parameters(model) == sum(one.numel() for one in made.parameters())
    layer = made.model.language_model.layers[0]
    pairs = {(one.in_features, one.out_features) for one in layer.modules() if isinstance(one, torch.nn.Linear)}
    assert set(memory.text_layer(config["text_config"]).values()) == pairs


def test_memory_by_hand(memory: ModuleType) -> None:
    """3B on 24 GB: 36 layers of width 2,048, two heads of keys and values of 128, 2 x 567 + 2,000 = 3,134 tokens."""
    (setting,) = [one for one in memory.SETTINGS if one.name == "1 x 24 GB, 3B"]
    found = memory.memory(setting)
    assert found["weights"] == pytest.approx(3_754_622_976 * 2 / 1e9)
    assert found["cache"] == pytest.approx(36 * 2 * 256 * 2 * 3134 * 16 / 1e9)
    assert found["kept"] == pytest.approx(36 * 2048 * 2 * 3134 * 2 / 1e9)
    per_layer = 16 * ((2048 + 2048) * 2 + (2048 + 256) * 2 + (2048 + 11008) * 3)
    assert found["adapter"] == pytest.approx(36 * per_layer * 16 / 1e9)
    for one in memory.SETTINGS:
        numbers = memory.memory(one)
        assert max(numbers["rollouts"], numbers["update"]) + 2.0 < one.card, one.name


def test_the_readme_shows_what_the_script_prints(memory: ModuleType) -> None:
    assert memory.table() in (FOLDER / "README.md").read_text(encoding="utf8")


def test_the_gpu_check_runs_on_the_cpu(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {"width": 48, "layers": 2, "vision-width": 32, "long-side": 112, "batch": 2, "microbatch": 2, "tokens": 4}
    arguments = [text for name, number in {**sizes, "steps": 1}.items() for text in (f"--{name}", str(number))]
    numbers = script("gpu_check").main(["--device", "cpu", *arguments])
    assert numbers["weights"] > 100_000 and numbers["gap"] < 1e-3
    assert numbers["rollout_tokens_per_second"] > 0.0 and numbers["update_peak_gb"] is None
    assert "kept_gb" in capsys.readouterr().out


@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.toml")), ids=lambda file: file.stem)
def test_every_configuration_can_be_read(file: Path) -> None:
    config = read_config(file, SftConfig if file.name.startswith("sft") else RlConfig)
    assert config.model.startswith("hf:models/Qwen") and config.lora.checkpointing
    assert (config.lora.quantize == "nf4") == ("qlora" in file.name)


def test_the_launchers_files_can_be_read() -> None:
    whole, zero = (load_config_from_file(str(FOLDER / name)) for name in ("accelerate.yaml", "deepspeed.yaml"))
    assert (whole.distributed_type, whole.num_processes) == ("MULTI_GPU", 8)
    assert (zero.distributed_type, zero.deepspeed_config["zero_stage"]) == ("DEEPSPEED", 2)
