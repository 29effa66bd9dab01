"""Measure how wrong an expectation gets when part of the rating's probability is not recovered; it settles MIN_MASS.

    python recipes/bench/rating_mass.py --model build/tiny-llava

The model of tiny_llava.py rates with a spread of 0.6. Tokens of numbers are hidden at random, as if their text were
unknown, and the expectation over what is left, scaled to 1, is compared with that over all. Prints the error by
recovered probability.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np
from tiny_llava import conversations, replies

from snellen.backend import Sampling
from snellen.backends.rating_tokens import expand_ratings
from snellen.backends.transformers import HfBackend
from snellen.options import ModelOptions

EDGES = (0.0, 0.2, 0.5, 0.8, 0.9, 0.95, 1.0)


def expectation(mass: dict[str, float]) -> float:
    """Return the expectation over ratings, scaled to a sum of 1, whatever the sum was."""
    total = sum(mass.values())
    return sum(float(rating) * weight for rating, weight in mass.items()) / total


def main() -> None:
    """Hide tokens 400 times and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", type=Path, required=True)
    args = parser.parse_args()
    backend = HfBackend(str(args.model), ModelOptions(device="cpu"))
    asked = [conversations(seed, replies(3.3)[0])[0] for seed in range(4)]
    made = backend._generate(asked, Sampling(max_tokens=300), "", sorted(backend.number_texts))
    starts = {row: backend._start(made.ids[row], "") for row in range(len(asked))}
    following = backend._following(made, asked, "", starts)
    draw = random.Random(0)
    whole = expand_ratings(list(starts), following, backend.number_texts)
    exact = {row: expectation(mass) for row, mass in whole.items()}
    print(f"all tokens: mass {np.mean([sum(mass.values()) for mass in whole.values()]):.4f}")
    found: list[tuple[float, float]] = []
    for _ in range(100):
        share = draw.uniform(0.0, 0.6)
        texts = {token: text for token, text in backend.number_texts.items() if draw.random() > share}
        for row, mass in expand_ratings(list(starts), following, texts).items():
            if sum(mass.values()) > 0.0:
                found.append((sum(mass.values()), abs(expectation(mass) - exact[row])))
    for low, high in zip(EDGES, EDGES[1:], strict=False):
        errors = [error for recovered, error in found if low <= recovered < high or recovered == high == 1.0]
        if errors:
            middle, most = np.median(errors), max(errors)
            print(f"{low:.2f} to {high:.2f}: {len(errors)} cases, error median {middle:.3f}, largest {most:.3f}")


if __name__ == "__main__":
    main()
