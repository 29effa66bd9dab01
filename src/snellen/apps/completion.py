"""`snellen completion`: scripts with which bash, zsh and fish complete commands and options."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass

from snellen.usage import OK, UsageError

BASH = """\
_snellen() {
    local current="${COMP_WORDS[COMP_CWORD]}" path="" words="" options="" word
    for word in "${COMP_WORDS[@]:1:$((COMP_CWORD - 1))}"; do
        case " @PATHS@ " in *" $path/$word "*) path="$path/$word" ;; esac
    done
    case "$path" in
@CASES@
    esac
    [[ "$current" == -* ]] && words="$options"
    COMPREPLY=()
    while IFS= read -r word; do COMPREPLY+=("$word"); done < <(
        compgen -W "$words" -- "$current"
        [[ -z "$path" || "$current" == -* ]] || compgen -f -- "$current"
    )
}
complete -o filenames -F _snellen snellen
"""
CASE = """\
        "@PATH@") words="@WORDS@"; options="@OPTIONS@" ;;"""


@dataclass(frozen=True)
class Level:
    """One command or command of a command, such as ("data", "build"), and what may follow it.

    words: {option or command: help in one line}.
    """

    path: tuple[str, ...]
    words: dict[str, str]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen completion`."""
    parser.add_argument("shell", choices=("bash", "zsh", "fish"), help="the shell that reads the script")


def run(args: argparse.Namespace) -> int:
    """Print the script; return the exit code."""
    script = fish_script if args.shell == "fish" else bash_script
    if args.shell == "zsh":
        print("autoload -U +X bashcompinit && bashcompinit")  # zsh runs completions of bash
    print(script(list(levels())), end="")
    return OK


def levels() -> Iterator[Level]:
    """Yield every command with its options, from the parsers themselves. Without its extra a command has none."""
    from snellen.cli import COMMANDS, build_parser

    yield Level((), {name: command.summary for name, command in COMMANDS.items()} | {"--version": "", "--help": ""})
    for name in COMMANDS:
        try:
            parser = build_parser(name)
        except (ModuleNotFoundError, UsageError):
            continue
        yield from _levels((name,), _commands(parser)[name])


def _levels(path: tuple[str, ...], parser: argparse.ArgumentParser) -> Iterator[Level]:
    words: dict[str, str] = {}
    for action in parser._actions:
        text = "" if action.help in (None, argparse.SUPPRESS) else (action.help or "") % vars(action)
        words |= dict.fromkeys(action.option_strings, text)
        if not action.option_strings and not isinstance(action, argparse._SubParsersAction):
            words |= dict.fromkeys(map(str, action.choices or ()), "")
    below = _commands(parser)
    yield Level(path, words | dict.fromkeys(below, ""))
    for name, command in below.items():
        yield from _levels((*path, name), command)


def _commands(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """Return the parsers of a parser's commands by name."""
    found = [action for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0].choices) if found else {}


def bash_script(found: list[Level]) -> str:
    """Return the script for bash: options and commands by the words so far; files where no option is begun."""
    paths = " ".join("/" + "/".join(level.path) for level in found if level.path)
    cases = []
    for level in found:
        options = " ".join(word for word in level.words if word.startswith("-"))
        words = " ".join(word for word in level.words if not word.startswith("-"))
        path = "".join("/" + name for name in level.path)
        cases.append(CASE.replace("@PATH@", path).replace("@WORDS@", words).replace("@OPTIONS@", options))
    return BASH.replace("@PATHS@", paths).replace("@CASES@", "\n".join(cases))


def fish_script(found: list[Level]) -> str:
    """Return the script for fish: one line for every word."""
    lines = []
    for level in found:
        seen = "; and ".join(f"__fish_seen_subcommand_from {name}" for name in level.path) or "__fish_use_subcommand"
        for word, text in level.words.items():
            option = f"-l {word[2:]}" if word.startswith("--") else f"-s {word[1:]}"
            kind = option if word.startswith("-") else f"-f -a {word}"
            about = re.sub(r"[\\']", r"\\\g<0>", text)
            lines.append(f"complete -c snellen -n '{seen}' {kind} -d '{about}'")
    return "\n".join(lines) + "\n"
