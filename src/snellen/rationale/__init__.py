"""The writer of rationales: facts about one round -> its four sections."""

from snellen.rationale.compose import Facts, compose

__all__ = ["Facts", "compose"]
