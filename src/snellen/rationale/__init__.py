"""The writer of rationales: facts about one round -> its four sections."""

from snellen.rationale.compose import compose
from snellen.rationale.facts import Facts

__all__ = ["Facts", "compose"]
