"""Suite `text`: agreement of a model's rationale with its issue list, and how much its replies vary.

For models that write freely. snellen-1's rationale is composed from its findings, so it agrees by construction.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from snellen.checks import SUBJECTS, VERDICTS
from snellen.evaluate.datasets import DataSet
from snellen.evaluate.report.tables import Table, number, percent
from snellen.evaluate.rows import Row
from snellen.evaluate.stats import diversity
from snellen.evaluate.stats.bootstrap import mean, share
from snellen.evaluate.stats.text import TextAgreement, compare_with_list
from snellen.evaluate.suites import Suite, scores
from snellen.reply import FIRST_LABELS, LATER_LABELS, Rationale, ReplyError, parse_reply

MEASURES = {
    "kinds": "listed issues whose kind the text names",
    "decision": "last sections that name listed kinds only",
    "severities": "stated severities equal to the listed one",
    "place": "single issues whose place in the text fits their box",
}
"""The claims that each field of `TextAgreement` counts."""


def summarise(rows: Sequence[Row], sets: Sequence[DataSet]) -> dict[str, Any]:
    """Return agreement, checks and diversity of the main mode's replies by set."""
    summary = {}
    for name, found in scores.by_set(rows, sets).items():
        main = next(iter(found.values()))
        replies = list(main.values())
        summary[name] = {"agreement": agreement(replies), "checks": checks(replies), "diversity": variety(replies)}
    return summary


def agreement(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the shares of `MEASURES` over the last replies that list an issue."""
    compared = [found for row in rows if (found := _compared(row)) is not None]
    return {
        "replies": len(compared),
        "kinds": share([hit for one in compared for hit in one.kinds]),
        "decision": share([hit for one in compared for hit in one.decision]),
        "severities": share([hit for one in compared for hit in one.severities]),
        "place": share([hit for one in compared for hit in one.place]),
    }


def _compared(row: Row) -> TextAgreement | None:
    rationale = rationale_of(row)
    if rationale is None or not row.issues:
        return None
    return compare_with_list(rationale, row.issues, [issue for one in row.rounds for issue in one.issues])


def checks(rows: Sequence[Row]) -> dict[str, dict[str, int]]:
    """Return the number of checks of each verdict, by what they are about.

    Empty for a model that does not write freely. Of all rounds: a claim that the next round withdraws was still made.
    """
    found = [check for row in rows for one in row.rounds for check in one.checks]
    return {
        about: {verdict: sum(c.about == about and c.verdict == verdict for c in found) for verdict in VERDICTS}
        for about in SUBJECTS
        if any(check.about == about for check in found)
    }


def rationale_of(row: Row) -> Rationale | None:
    """Return the rationale of the last reply; None where there is no score or no rationale in four sections."""
    if not row.rounds or row.score is None:
        return None
    try:
        return parse_reply(row.rounds[-1].reply, len(row.rounds)).rationale
    except ReplyError:  # of a protocol that accepts more than ours
        return None


def variety(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the diversity of written ratings and rationales of the last replies, and their lengths.

    Entropies in bits. words: quantiles 0.05, 0.5 and 0.95 of the words of a rationale.
    """
    last = [row.rounds[-1] for row in rows if row.rounds and row.score is not None]
    ratings = [one.rating for one in last if one.rating is not None]
    texts = [text for row in rows if row.rounds and (text := think_text(row.rounds[-1].reply))]
    lengths = [len(diversity.words(text)) for text in texts]
    return {
        "pictures": len(rows),
        "different ratings": len(set(ratings)),
        "entropy of the ratings": diversity.entropy(ratings),
        "texts": len(texts),
        "different texts": diversity.distinct_share(texts),
        "distinct-2": diversity.distinct_2(texts),
        "entropy of the bigrams": diversity.entropy(diversity.bigrams(texts)),
        "words": np.quantile(lengths, [0.05, 0.5, 0.95]).tolist() if lengths else [],
        "tokens per picture": mean(sum(one.tokens for one in row.rounds) for row in rows),
    }


def think_text(reply: str) -> str:
    """Return the think text of a reply in one line without the labels of its sections; "" without one."""
    found = re.search(r"<think>(.*?)</think>", reply, re.DOTALL)
    text = found[1] if found else ""
    for label in (*LATER_LABELS, *FIRST_LABELS):  # the longer ones first: one ends as another does
        text = text.replace(f"{label}:", " ")
    return " ".join(text.split())


def show(summary: Mapping[str, Any], rows: Sequence[Row], sets: Sequence[DataSet]) -> list[Table]:
    """Return the tables of agreement, checks and diversity for each set."""
    shown = []
    for name, found in summary.items():
        if found["agreement"]["replies"]:
            lines = [[what, percent(found["agreement"][key])] for key, what in MEASURES.items()]
            note = f"{found['agreement']['replies']} last replies that list an issue."
            shown.append(Table(f"{name}: agreement of text and issue list", ["share of", "value"], lines, note))
        if found["checks"]:
            lines = [
                [about, str(sum(counts.values())), *(str(counts[verdict]) for verdict in VERDICTS)]
                for about, counts in found["checks"].items()
            ]
            note = "Claims of all rounds against the reply's own issues and boxes and against measurements."
            shown.append(Table(f"{name}: claims of the texts", ["claims about", "all", *VERDICTS], lines, note))
        lines = [[what, _cell(value)] for what, value in found["diversity"].items()]
        shown.append(Table(f"{name}: diversity and length of the replies", ["measure", "value"], lines))
    return shown


def _cell(value: Any) -> str:
    if isinstance(value, list):
        return f"{value[1]:.0f} (90 %: {value[0]:.0f} to {value[2]:.0f})" if value else "-"
    return str(value) if isinstance(value, int) else number(value)


SUITE = Suite("text", scores.jobs, summarise, show)
