"""Demonstrations for a vision-language model, from the conversations that `snellen data build` writes."""

from __future__ import annotations

import json
from collections import OrderedDict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, overload

from snellen.backend import Reply, Round, Turn
from snellen.image import Picture, load
from snellen.protocol import DEFAULT_QUESTION, SnellenProtocol
from snellen.region import Region

KEPT_MEGAPIXELS = 100.0
"""Pictures that are kept for the next round that shows them."""


class Demonstrations(Sequence[Round]):
    """The rounds of conversations, one after the other; pictures are read when a round is indexed.

    lines: rows of JSON with "path" and "rounds", each with "region" and "reply". reply_of: makes a reply to learn from
    of a text, for example `snellen.train.lora.LoraPolicy.reply_of`.
    """

    def __init__(self, lines: Sequence[dict[str, Any]], reply_of: Callable[[str], Reply]) -> None:
        self.lines, self.reply_of = lines, reply_of
        self._pictures: OrderedDict[str, Picture] = OrderedDict()
        self.places = [(i, number) for i, line in enumerate(lines) for number in range(len(line["rounds"]))]

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Round: ...

    @overload
    def __getitem__(self, index: slice) -> list[Round]: ...

    def __getitem__(self, index: int | slice) -> Round | list[Round]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i, number = self.places[index]
        picture, rounds = self._picture(self.lines[i]["path"]), self.lines[i]["rounds"]
        views = [picture.view(Region(*one["region"])) for one in rounds[: number + 1]]
        earlier: list[Turn] = [self.reply_of(one["reply"]).turn() for one in rounds[:number]]
        conversation = SnellenProtocol().conversation(DEFAULT_QUESTION, views, earlier)
        return Round(conversation, self.reply_of(rounds[number]["reply"]))

    def _picture(self, path: str) -> Picture:
        if path not in self._pictures:
            self._pictures[path] = load(path)
            while sum(one.megapixels for one in self._pictures.values()) > KEPT_MEGAPIXELS and len(self._pictures) > 1:
                self._pictures.popitem(last=False)
        self._pictures.move_to_end(path)
        return self._pictures[path]


def read_conversations(file: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """Return the lines of a file of conversations as (training split, validation split). The test split is in
    neither."""
    lines = [json.loads(line) for line in file.read_text(encoding="utf8").split("\n") if line.strip()]
    return [line for line in lines if line["split"] == "train"], [line for line in lines if line["split"] == "val"]
