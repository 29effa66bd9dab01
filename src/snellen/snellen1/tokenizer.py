"""The tokenizer of snellen-1: byte-level BPE over the corpus, where every number with two decimals is one token.

Ratings and box coordinates are numbers from 0.00 to 5.00, so each has a single token and the model's distribution
over them can be read in one place. Words may merge across spaces inside a clause: the JSON around the numbers
becomes a handful of tokens.
"""

from __future__ import annotations

from collections.abc import Iterable

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

SPECIAL = ("<pad>", "<end>", "<look>", "<image>")
"""Padding; end of a reply; beginning of a user turn, before the coordinates of the region shown; one part of a look."""
FIRST_NUMBER = len(SPECIAL)
"""Id of the token "0.00"; "5.00" is 500 further on."""
CLAUSE = r"""(?:[^.,;\n]|,(?= "))*[.,;]?[ \n]?"""


def train_tokenizer(texts: Iterable[str], vocabulary: int = 2048) -> Tokenizer:
    """Learn the merges from `texts`; `vocabulary` counts everything but the numbers and the special tokens."""
    tokenizer = Tokenizer(models.BPE())
    numbers = [f"{i / 100:.2f}" for i in range(501)]
    tokenizer.add_special_tokens([AddedToken(token, special=True) for token in SPECIAL])
    tokenizer.add_tokens([AddedToken(number, normalized=False) for number in numbers])
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(CLAUSE), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary + len(SPECIAL) + len(numbers),
        special_tokens=[*SPECIAL, *numbers],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        max_token_length=32,
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens([AddedToken(number, normalized=False) for number in numbers])
    return tokenizer
