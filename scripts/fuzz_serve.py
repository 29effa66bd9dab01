"""Fuzz `snellen serve` by its OpenAPI description: python scripts/fuzz_serve.py SCHEMATHESIS [EXAMPLES].

SCHEMATHESIS is the program of an environment of its own. The server has snellen-1; small random files are its pictures.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from load_serve import running

CONFIG = """
[[operations]] # whether a picture is one, no schema can say
include-path = "/v1/chat/completions"
checks.positive_data_acceptance.enabled = false
"""


def main(arguments: Sequence[str]) -> int:
    """Run the fuzzer; return its exit code, and 1 where the server does not end well."""
    program, examples = Path(arguments[0]).absolute(), arguments[1] if len(arguments) > 1 else "100"
    with tempfile.TemporaryDirectory() as folder, running() as server:
        (Path(folder) / "schemathesis.toml").write_text(CONFIG)
        command = [str(program), "run", f"{server.address}/openapi.json", "--no-color", "--seed", "1"]
        command += ["--phases", "examples,coverage,fuzzing", "--max-examples", examples]
        code = subprocess.run(command, cwd=folder).returncode
        ended = server.stop()
        print(f"the server ended with code {ended}")
    return code or ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
