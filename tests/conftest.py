from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# how fast a machine is, is not what a test tests
settings.register_profile("any machine", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("any machine")


@pytest.fixture
def interrupts() -> Iterator[None]:
    """Interrupts raise KeyboardInterrupt: a test runner in the background of a shell ignores them."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.fixture
def authors_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A package laid out as the authors', with prompts of ours."""
    folder = tmp_path / "zoomiqa" / "inference"
    folder.mkdir(parents=True)
    for package in (folder, folder.parent):
        (package / "__init__.py").touch()
    (folder / "protocol.py").write_text(
        'STAGE1_PROMPT = "Rate it: {{json}}. {question}"\nSTAGE2_PROMPT = "Look again: {{json}}. {question}\\n"\n'
        'RANDOM_QUESTIONS = ("How good is it?", "Rate it.", "Your opinion?")\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    loaded = [name for name in sys.modules if name.split(".")[0] == "zoomiqa"]
    for name in loaded:
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in [name for name in sys.modules if name.split(".")[0] == "zoomiqa"]:
        del sys.modules[name]
