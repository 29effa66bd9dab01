"""Mutation check: change one operator, constant or call of a module at a time; its tests must fail.

Each mutant runs the fast tests of its module in a forked process, in which the package is a folder of links beside the
one changed file. A mutant that no test notices is printed as a survivor, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "snellen"

TESTS = {
    "region.py": ("tests/unit/test_region.py",),
    "zoom.py": ("tests/unit/test_zoom.py", "tests/unit/test_assessor.py"),
    "reply.py": ("tests/unit/test_protocol.py",),
    "train/rewards.py": ("tests/train/test_rewards.py",),
    "train/regularizers.py": ("tests/train/test_regularizers.py",),
}
"""Modules, and the tests that must notice each of their mutants."""

EQUIVALENT: dict[str, str] = {
    "zoom.py: if w * h > self.max_area * total: -> if w * h >= self.max_area * total:": "at equality nothing changes",
}
"""Mutants that cannot be noticed, as "module: line before -> line after", and the reason."""

SWAPS: dict[type[ast.AST], type[ast.AST]] = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Mult,
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
}  # fmt: skip
CALLS = {"min": "max", "max": "min", "any": "all", "all": "any", "floor": "ceil", "ceil": "floor", "argmax": "argmin"}
TIME_LIMIT = 120  # seconds for the tests of one mutant; a mutant may loop forever


@dataclass(frozen=True)
class Mutant:
    """A module with one change. before, after: the changed line, without indentation."""

    module: str
    number: int
    before: str
    after: str
    code: str

    @property
    def name(self) -> str:
        """Module and change, as in EQUIVALENT."""
        return f"{self.module}: {self.before} -> {self.after}"


def changes(node: ast.AST) -> Iterator[tuple[str, object]]:
    """Yield the fields of a node that can be changed, with their new values."""
    if isinstance(node, (ast.BinOp, ast.AugAssign, ast.BoolOp)) and type(node.op) in SWAPS:
        yield "op", SWAPS[type(node.op)]()
    elif isinstance(node, ast.Compare) and type(node.ops[0]) in SWAPS:
        yield "ops", [SWAPS[type(node.ops[0])](), *node.ops[1:]]
    elif isinstance(node, ast.Constant):
        if isinstance(node.value, bool):
            yield "value", not node.value
        elif isinstance(node.value, (int, float)):
            yield "value", node.value + 1
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        yield "operand", ast.UnaryOp(ast.Not(), node.operand)  # not not x
    elif isinstance(node, ast.Name) and node.id in CALLS and isinstance(node.ctx, ast.Load):
        yield "id", CALLS[node.id]
    elif isinstance(node, ast.Attribute) and node.attr in CALLS:
        yield "attr", CALLS[node.attr]
    elif isinstance(node, ast.Return) and node.value is not None:
        yield "value", ast.Constant(None)


def skipped(tree: ast.AST) -> set[int]:
    """Return the ids of nodes that are left as they are.

    These are annotations, messages of errors, `strict=` of zip, and numbers that a module defines as its settings.
    """
    found = {id(inner) for node in ast.iter_child_nodes(tree) if isinstance(node, (ast.Assign, ast.AnnAssign))
             for inner in ast.walk(node)}  # fmt: skip
    for node in ast.walk(tree):
        parts: list[ast.AST | None] = []
        if isinstance(node, ast.AnnAssign):
            parts = [node.annotation]
        elif isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            parts = [node.returns, *(argument.annotation for argument in node.args.args + node.args.kwonlyargs)]
        elif isinstance(node, (ast.Raise, ast.JoinedStr)) or (isinstance(node, ast.keyword) and node.arg == "strict"):
            parts = [node]
        for part in parts:
            if part is not None:
                found |= {id(inner) for inner in ast.walk(part)}
    return found


def mutants(module: str) -> list[Mutant]:
    """Return all mutants of a module."""
    text = (PACKAGE / module).read_text(encoding="utf-8")
    tree = ast.parse(text)
    base = ast.unparse(tree).splitlines()
    ignored = skipped(tree)
    found = []
    for number, node in enumerate(ast.walk(tree)):
        if id(node) in ignored:
            continue
        for field, value in changes(node):
            changed = copy.deepcopy(tree)
            target = list(ast.walk(changed))[number]
            setattr(target, field, value)
            code = ast.unparse(ast.fix_missing_locations(changed))
            lines = code.splitlines()
            line = next((i for i, (a, b) in enumerate(zip(base, lines, strict=False)) if a != b), None)
            if line is not None:
                found.append(Mutant(module, line, base[line].strip(), lines[line].strip(), code))
    return found


def overlay(mutant: Mutant, folder: Path) -> None:
    """Fill a folder with the package: links to its files, and the changed module."""
    inside, source = folder / "snellen", PACKAGE
    for part in (*Path(mutant.module).parts, ""):
        inside.mkdir()
        for path in source.iterdir():
            if path.name not in (part, "__pycache__"):
                (inside / path.name).symlink_to(path)
        if source / part == PACKAGE / mutant.module:
            (inside / part).write_text(mutant.code, encoding="utf-8")
            return
        inside, source = inside / part, source / part


def survives(mutant: Mutant, tests: tuple[str, ...]) -> bool:
    """Run the tests on the mutant in a forked process; return True when all pass."""
    import pytest

    with tempfile.TemporaryDirectory() as name:
        overlay(mutant, Path(name))
        child = os.fork()
        if child == 0:
            signal.alarm(TIME_LIMIT)
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, 1)
            os.dup2(null, 2)
            os.chdir(ROOT)
            sys.path.insert(0, name)
            sys.dont_write_bytecode = True
            arguments = ["-x", "-q", "-p", "no:cacheprovider", "-p", "no:randomly", "--hypothesis-seed=0", *tests]
            code = int(pytest.main(arguments))
            os._exit(0 if code == 0 else 1)
        _, status = os.waitpid(child, 0)
    return status == 0


def main() -> int:
    """Check a sample of the mutants of each module; the exit code is 1 when one survives."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("modules", nargs="*", default=list(TESTS), help=f"of {', '.join(TESTS)} (default: all)")
    parser.add_argument("--count", metavar="N", type=int, help="mutants of each module, drawn at random (default: all)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="of the draw")
    args = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    for name in ("numpy", "torch", "PIL.Image", "hypothesis"):  # once, before the forks
        __import__(name)
    left = 0
    for module in args.modules:
        began = time.perf_counter()
        every = mutants(module)
        drawn = random.Random(args.seed).sample(every, min(len(every), args.count or len(every)))
        survivors = [one for one in drawn if one.name not in EQUIVALENT and survives(one, TESTS[module])]
        seconds = time.perf_counter() - began
        print(f"{module}: {len(drawn)} of {len(every)} mutants, {len(survivors)} survive; {seconds:.0f} s", flush=True)
        for one in sorted(survivors, key=lambda one: one.number):
            print(f"    {one.before}\n        -> {one.after}", flush=True)
        left += len(survivors)
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main())
