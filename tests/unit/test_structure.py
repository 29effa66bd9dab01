"""Structure of the source: imports run downhill, applications are leaves, files and functions stay short."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from snellen.cli import COMMANDS

ROOT = Path(__file__).parents[2]
SOURCES = ROOT / "src"

NUMPY_HALF = (
    "snellen1.kernel", "snellen1.photo_features", "snellen1.photo_faults", "snellen1.photo_rating", "snellen1.layout",
    "snellen1.pooling", "snellen1.rule", "snellen1.adaptation", "snellen1.files",
)  # fmt: skip
"""The modules of the small model that the ONNX backend uses. The others need torch, and only training imports them."""

ORDER = (
    "usage", "output", "options",
    "region", "vocabulary", "reading", "colour", "damage", "formats", "fileformat", "folder", "imagefile", "image",
    "zoom", "domain", "features",
    "sidecar",
    "reply_form", "reply", "zoomiqa_reply", "rationale", "claims", "checks", "protocol", "backend",
    *NUMPY_HALF, "backends", "draw", "assessment", "assessor", "report", "terminal", "lock", "table", "rows", "workers",
    "snellen1", "data", "train", "evaluate", "study", "restoration", "comparison", "video",
    "apps", "cli", "__main__",
)  # fmt: skip
"""Modules and packages from the lowest to the highest. Each imports only those before it and, in a package, itself."""

UPHILL = {
    ("apps", "cli"): "completion lists all commands",
}
"""The imports that run uphill, all inside functions, and the reason for each."""

TORCH = ("snellen1.", "train.", "backends.transformers", "apps.metric.pyiqa")
"""Where torch is imported; backends.transformers is what the extra hf is for."""


def modules() -> dict[str, Path]:
    """Return the file of every module of the package, by name."""
    found = {}
    for path in sorted((SOURCES / "snellen").rglob("*.py")):
        parts = path.relative_to(SOURCES).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imports(tree: ast.AST) -> Iterator[str]:
    """Yield the dotted names that the code imports, inside functions too, but not for type checking only."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            continue
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole module"
            yield from (f"{node.module}.{name.name}" for name in node.names)
        else:
            yield from imports(node)


def imported_modules(name: str) -> set[str]:
    """Return the modules of the package that one of them imports."""
    found = set()
    for target in imports(ast.parse(MODULES[name].read_text(encoding="utf-8"))):
        while target and target not in MODULES:
            target = target.rpartition(".")[0]
        if target.startswith("snellen."):
            found.add(target)
    return found - {name}


GRAPH = {name: imported_modules(name) for name in MODULES}


def layer(module: str) -> str:
    """Return the longest entry of ORDER that names the module or a package around it."""
    name = module.removeprefix("snellen.")
    fitting = [entry for entry in ORDER if name == entry or name.startswith(entry + ".")]
    assert fitting, f"{module} has no place in ORDER"
    return max(fitting, key=len)


def test_the_check_sees_every_form_of_import() -> None:
    code = (
        "import a\nfrom b import c\nif TYPE_CHECKING:\n    import d\n"
        "def f():\n    from e.f import g\n    class H:\n        import i.j\n"
    )
    assert list(imports(ast.parse(code))) == ["a", "b.c", "e.f.g", "i.j"]


def test_imports_run_downhill() -> None:
    uphill = set()
    for name in MODULES.keys() - {"snellen"}:
        for target in GRAPH[name]:
            above, below = layer(name), layer(target)
            if ORDER.index(below) > ORDER.index(above):
                uphill.add((above, below))
    assert uphill - UPHILL.keys() == set(), "a module imports one above it"
    assert UPHILL.keys() - uphill == set(), "an exception that no import needs any more"


def test_no_module_imports_itself_in_a_circle() -> None:
    graph = {
        name: {target for target in GRAPH[name] if (layer(name), layer(target)) not in UPHILL}
        for name in MODULES.keys() - {"snellen"}
    }
    try:
        list(TopologicalSorter(graph).static_order())
    except CycleError as error:
        pytest.fail(" imports ".join(error.args[1]))


def app_of(module: str) -> str:
    """Return the application that a module belongs to: its file, or its folder with all files in it."""
    return ".".join(module.split(".")[:3])


@pytest.mark.parametrize("app", [name for name in MODULES if name.startswith("snellen.apps.")])
def test_an_application_can_be_deleted_with_its_row(app: str) -> None:
    """Whatever imports the application is the application itself, or the folder that web applications share."""
    users = {name for name in MODULES if app in GRAPH[name] and app_of(name) != app_of(app)}
    if app_of(app) == "snellen.apps.web":
        users = {name for name in users if not name.startswith("snellen.apps.")}
        named: set[str] = set()
    else:
        named = {name for name, path in MODULES.items() if f'"{app}' in path.read_text(encoding="utf-8")}
    assert users == set()
    assert {name for name in named if name != "snellen.cli" and app_of(name) != app_of(app)} == set(), (
        "named as a string"
    )


def test_every_row_of_the_command_table_has_its_functions() -> None:
    for name, command in COMMANDS.items():
        tree = ast.parse(MODULES[command.module].read_text(encoding="utf-8"))
        functions = {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}
        assert {"add_arguments", "run"} <= functions, name


def test_importing_the_package_or_asking_for_help_loads_neither_numpy_nor_torch() -> None:
    for statement in ("import snellen", "import snellen.cli"):
        command = f"import sys\n{statement}\nprint(*{{name.split('.')[0] for name in sys.modules}})"
        done = subprocess.run([sys.executable, "-c", command], capture_output=True, text=True, check=True)
        assert set(done.stdout.split()).isdisjoint({"numpy", "torch", "PIL", "rich", "onnxruntime"}), statement


def test_torch_is_imported_only_where_models_are_trained() -> None:
    users = {
        name.removeprefix("snellen.")
        for name, path in MODULES.items()
        if any(
            target.split(".")[0] in ("torch", "torchvision", "transformers", "accelerate", "peft")
            for target in imports(ast.parse(path.read_text(encoding="utf-8")))
        )
    }
    assert {name for name in users if not f"{name}.".startswith(TORCH)} == set()
    assert users and users.isdisjoint(NUMPY_HALF)


def written(*folders: str) -> Iterator[tuple[str, str]]:
    """Yield name and text of every Python file in folders of the repository."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8")


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Return the lines of a function without its docstring."""
    first = function.body[0]
    lines = (function.end_lineno or 0) - function.lineno + 1
    if ast.get_docstring(function) is not None:
        lines -= (first.end_lineno or 0) - first.lineno + 1
    return lines


def test_files_are_short() -> None:
    lengths = {name: len(text.splitlines()) for name, text in written("src", "recipes", "scripts")}
    assert {name: count for name, count in lengths.items() if count >= 400} == {}


def test_functions_are_short() -> None:
    found = {}
    for name, text in written("src", "recipes", "scripts"):
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) and length(node) >= 60:
                found[f"{name}:{node.name}"] = length(node)
    assert found == {}
