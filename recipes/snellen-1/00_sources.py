r"""Stage 0: list rated pictures and clean photographs; they are split into training, dev and test.

    python recipes/snellen-1/00_sources.py --biq2021 DATA/BIQ2021 --wallpapers DATA/debian --codecs DATA/codec-corpus \
        --held DATA/held --more DATA/photos --chosen DATA/chosen --out build

Photographs of `--more` and `--chosen` have no ratings; the released model scores them. Writes biq2021.jsonl,
photographs.jsonl, pristine.jsonl (to test on) and dev.jsonl (to choose by).
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from snellen import Assessor
from snellen.train.snellen1.sources import Folders, write_sources


def judge(paths: Sequence[str]) -> list[float | None]:
    """Scores of the released model."""
    return [assessment.score for assessment in Assessor(score_only=True).stream(paths)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--biq2021", type=Path, required=True, help="clone of nisarahmedrana/BIQ2021")
    parser.add_argument("--wallpapers", type=Path, required=True, help="unpacked Debian packages, see README.md")
    parser.add_argument("--codecs", type=Path, required=True, help="clone of imazen/codec-corpus")
    parser.add_argument("--held", type=Path, nargs="*", default=[], help="folders of photographs to test on only")
    parser.add_argument("--more", type=Path, nargs="*", default=[], help="mixed folders of photographs, screened")
    parser.add_argument("--chosen", type=Path, help="clones of the repositories in photographs.txt, OWNER+NAME each")
    parser.add_argument("--out", type=Path, required=True)
    args = parser.parse_args()
    folders = Folders(args.wallpapers, args.codecs, args.held, args.more, args.chosen)
    write_sources(args.biq2021, folders, Path(__file__).parent / "photographs.txt", judge, args.out)


if __name__ == "__main__":
    main()
