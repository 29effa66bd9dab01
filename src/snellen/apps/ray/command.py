"""`snellen ray`: a Ray Data pipeline that scores folders, lists, Parquet files and WebDataset shards.

Reading tasks turn each shard into records, actors with a judge each turn records into rows, and this process writes the
rows of a shard as one Parquet file, at once, when all are there. So a run that was killed goes on with the shards that
have no file: no row is lost or written twice.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from snellen import __version__
from snellen.apps.ray.judge import Judge
from snellen.apps.ray.shards import PART, Shard, find_shards, read_shard
from snellen.backend import BackendError
from snellen.lock import lock
from snellen.options import add_assessor_arguments, assessor_arguments
from snellen.output import OutputError, replacing, writing
from snellen.table import unescape
from snellen.usage import FAILED, OK, UsageError, add_quiet, complain, positive, visible, wrong_usage

if TYPE_CHECKING:
    import pyarrow as pa

SETTINGS_FILE = "run.json"
BATCH = 8
ACTOR_SHARE = 0.9
"""CPUs that an actor books for each that it uses: actors that take all starve the tasks that read."""
READER_SHARE = 0.05


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of `snellen ray`."""
    parser.add_argument(
        "inputs",
        metavar="INPUT",
        nargs="+",
        help="folder, list of paths (.txt), Parquet file or WebDataset shard (.tar)",
    )
    parser.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="folder: one Parquet file per shard")
    parser.add_argument("--resume", action="store_true", help="continue: shards without a file, and new pictures")
    parser.add_argument("--address", metavar="ADDRESS", help="a running Ray cluster (default: this machine)")
    parser.add_argument("--actors", metavar="N", type=positive, help="actors (default: as many as CPUs and GPUs allow)")
    parser.add_argument("--cpus", metavar="N", type=positive, default=1, help="CPUs and threads of an actor")
    parser.add_argument(
        "--gpus", metavar="N", type=float, help="GPUs of an actor (default: 1 for hf: where there are any, else 0)"
    )
    parser.add_argument("--shard-size", metavar="N", type=positive, default=1000, help="pictures in a shard")
    parser.add_argument("--image", metavar="COLUMN", help="column of encoded pictures in Parquet files")
    parser.add_argument("--key", metavar="COLUMN", help="column of keys in Parquet files")
    parser.add_argument("--features", action="store_true", help="also measure sharpness, noise, ...; adds a column")
    add_assessor_arguments(parser)
    add_quiet(parser)


def run(args: argparse.Namespace) -> int:
    """Score the inputs; return the exit code."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")  # before the import: nothing is sent
    import pyarrow.parquet  # noqa: F401
    import ray

    with wrong_usage():
        options = judge_options(args)
    with writing(args.out):
        args.out.mkdir(parents=True, exist_ok=True)
    with lock(args.out / SETTINGS_FILE):
        done, scored = _begin(args.out, _settings(args, options), args.resume)
        shards, problems = find_shards(args.inputs, args.shard_size, done, scored)
        for problem in problems:
            complain(problem)
        rows, failed = 0, 0
        try:
            for shard, table in _score(ray, args, options, shards) if shards else ():
                with replacing(args.out / f"{shard.name}.parquet") as unfinished:
                    pyarrow.parquet.write_table(table, unfinished)
                errors = [row for row in table.select(["path", "error", "problem"]).to_pylist() if row["error"]]
                for row in map(unescape, errors):
                    complain(f"{row['path']}: {row['problem']}")
                rows, failed = rows + len(table), failed + len(errors)
                if not args.quiet:
                    print(
                        visible(f"{shard.name}: {len(table)} pictures, {len(errors)} without a score"), file=sys.stderr
                    )
        except ray.exceptions.RayError as error:
            last = str(error).strip().splitlines()[-1]
            raise BackendError(f"{last}; shards that were written are kept, continue with --resume") from error
        except OutputError as error:
            raise OutputError(f"{error}; shards that were written are kept, continue with --resume") from error
    if not args.quiet:
        print(f"{args.out}: {len(done)} shards were there, {len(shards)} new, {rows} pictures in them", file=sys.stderr)
    if not shards and not done:
        complain("no pictures in the inputs; name others")
    return FAILED if failed or problems or not (shards or done) else OK


def judge_options(args: argparse.Namespace) -> dict[str, Any]:
    """Return the arguments of `Judge`."""
    return {"model": args.model, "threads": args.cpus, "features": args.features, **assessor_arguments(args)}


def _settings(args: argparse.Namespace, options: Mapping[str, Any]) -> dict[str, Any]:
    """Return what must stay the same when a run goes on."""
    same = {name: value for name, value in options.items() if name not in ("threads", "batch_size", "options")}
    same |= {"options": options["options"].given(), "image": args.image, "key": args.key}
    return {"snellen": __version__, "inputs": args.inputs, **same}


def _begin(out: Path, settings: dict[str, Any], resume: bool) -> tuple[set[str], set[str]]:
    """Write or compare the settings of a run; return the names of shards that are done, and the paths in them."""
    import pyarrow.parquet

    file = out / SETTINGS_FILE
    tables = sorted(out.glob("*.parquet"))
    if not resume:
        if tables or file.exists():
            raise UsageError(f"{out} holds a run; continue it with --resume, or name another folder")
        with replacing(file) as unfinished:
            unfinished.write_text(json.dumps(settings, indent=1), encoding="utf-8")
        return set(), set()
    if file.exists() and (before := json.loads(file.read_text(encoding="utf-8"))) != settings:
        changed = [name for name in settings if before.get(name) != settings[name]]
        raise UsageError(f"{out} was begun with another {', '.join(changed)}; use the same, or name another folder")
    with replacing(file) as unfinished:
        unfinished.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    paths: set[str] = set()
    for table in tables:
        rows = pyarrow.parquet.read_table(table, columns=["path"]).to_pylist() if PART.fullmatch(table.stem) else []
        paths.update(unescape(row)["path"] for row in rows)
    return {table.stem for table in tables}, paths


def _score(
    ray: Any, args: argparse.Namespace, options: dict[str, Any], shards: Sequence[Shard]
) -> Iterator[tuple[Shard, pa.Table]]:
    """Yield each shard with its rows, as soon as all are there."""
    try:
        ray.init(args.address, include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    except ConnectionError as error:
        problem = f"no connection to a Ray cluster at {args.address} ({error})"
        raise BackendError(f"{problem}; check --address, and RAY_AUTH_TOKEN where it asks for a token") from error
    ray.data.DataContext.get_current().enable_progress_bars = False
    actors, gpus = judges(args, ray.cluster_resources())
    items = [{"at": at, "shard": json.dumps(asdict(shard))} for at, shard in enumerate(shards)]
    records = ray.data.from_items(items, override_num_blocks=len(items)).map_batches(
        read_records, batch_size=1, num_cpus=READER_SHARE, fn_kwargs={"image": args.image, "key": args.key}
    )
    rows = records.map_batches(
        Judge,
        batch_size=args.batch_size or options["options"].concurrency or BATCH,
        fn_constructor_kwargs=options,
        num_cpus=ACTOR_SHARE * args.cpus,
        num_gpus=gpus or None,
        compute=ray.data.ActorPoolStrategy(size=actors),
    )
    yield from collect(rows.iter_batches(batch_size=None, batch_format="pyarrow"), shards)


def judges(args: argparse.Namespace, cluster: Mapping[str, float]) -> tuple[int, float]:
    """Return the number of actors, and the GPUs of each, on a cluster with so many of the resources CPU and GPU."""
    gpus = args.gpus
    if gpus is None:
        gpus = 1.0 if args.model.startswith("hf:") and cluster.get("GPU", 0) >= 1 else 0.0
    room = min(cluster.get("CPU", 1) / args.cpus, cluster.get("GPU", 0) / gpus if gpus else float("inf"))
    return args.actors or max(1, int(room)), gpus


def read_records(batch: Mapping[str, Any], image: str | None, key: str | None) -> Iterator[pa.Table]:
    """Yield the records of a batch of one shard; a shard without pictures gives one row with no picture in it."""
    import pyarrow as pa

    fields = dict.fromkeys(("at", "index", "of"), pa.int64())
    fields |= dict.fromkeys(("key", "path", "bytes", "file"), pa.binary()) | {"problem": pa.string()}
    schema = pa.schema(list(fields.items()))
    for at, text in zip(batch["at"], batch["shard"], strict=True):
        read = json.loads(text)
        shard = Shard(read["name"], read["source"], tuple(read["names"]))
        of, records = read_shard(shard, image, key)
        if of == 0:
            empty = [int(at), -1, 0, b"", b"", None, None, "the shard holds no pictures"]
            yield pa.Table.from_pylist([dict(zip(fields, empty, strict=True))], schema)
        for index, one in enumerate(records):
            values = [int(at), index, of, os.fsencode(one.key), os.fsencode(one.path), one.data, one.file, one.problem]
            yield pa.Table.from_pylist([dict(zip(fields, values, strict=True))], schema)


def collect(batches: Iterator[pa.Table], shards: Sequence[Shard]) -> Iterator[tuple[Shard, pa.Table]]:
    """Yield each shard with its rows in order, the key first, when all of them have come.

    batches: rows of several shards, mixed, with the columns at (of the shard), index and of (in it).
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    waiting: dict[int, list[pa.Table]] = {}
    for batch in batches:
        for at in pc.unique(batch["at"]).to_pylist():
            rows = batch.filter(pc.equal(batch["at"], at))
            waiting.setdefault(at, []).append(rows)
            of = rows["of"][0].as_py()
            if sum(map(len, waiting[at])) < max(1, of):
                continue
            table = pa.concat_tables(waiting.pop(at)).sort_by("index")
            if table["index"].to_pylist() != list(range(of)) and of:
                raise BackendError(f"shard {shards[at].name}: rows came twice; start again with --resume")
            columns = [name for name in table.column_names if name not in ("at", "index", "of", "key")]
            yield shards[at], table.slice(0, of).select(["key", *columns])
