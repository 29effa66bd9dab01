"""`snellen study`: make a study, invite raters, serve the rating page, analyse the answers, compare a judge."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path

from snellen.apps.web.options import LOOPBACK, MEGABYTE, Limits, WebOptions
from snellen.study.rubric import METHODS
from snellen.usage import OK, UsageError, add_command, announce, complain, port, positive

NOBODY = "nobody is invited yet; next: snellen study invite {} 20 --url ADDRESS OF THE PAGE"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the commands of `snellen study` and their options."""
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    init = add_command(commands, "init", "make a study: a folder with plan, copies of the pictures, answers")
    init.usage = "snellen study init FOLDER --pictures PATH [PATH ...] [options]"
    init.add_argument("folder", metavar="FOLDER", type=Path, help="a new folder")
    init.add_argument(
        "--pictures", metavar="PATH", type=Path, nargs="+", required=True,
        help="files, folders, or a table with the columns image[,reference][,group] (.csv)",
    )  # fmt: skip
    init.add_argument("--rubric", metavar="FILE", type=Path, help="questions and course of the study, TOML")
    init.add_argument("--method", choices=METHODS, help="method of a study without --rubric")
    init.set_defaults(task=_init)

    invite = add_command(commands, "invite", "print invitation links, each for one rater")
    _folder(invite)
    invite.add_argument("count", metavar="N", type=positive, nargs="?", default=1, help="number of new raters")
    invite.add_argument("--url", default="http://127.0.0.1:8020", help="address that raters reach the page at")
    invite.add_argument("--renew", metavar="CODE", help="a new link for this rater, whose answers stay")
    invite.set_defaults(task=_invite)

    raters = add_command(commands, "raters", "list raters: code, progress")
    _folder(raters)
    raters.set_defaults(task=_raters)

    serve = add_command(commands, "serve", "serve the rating page")
    _folder(serve)
    serve.add_argument("--host", metavar="ADDRESS", default="127.0.0.1", help="address to listen on")
    serve.add_argument("--port", metavar="N", type=port, default=8020, help="port; 0 for a free one")
    serve.add_argument(
        "--allowed-host", metavar="NAME", action="append", default=[], help="host name by which raters reach the server"
    )
    serve.set_defaults(task=_serve)
    _add_analysis(commands)


def _add_analysis(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    simulate = add_command(commands, "simulate", "answer with simulated raters, to try a study before people do")
    _folder(simulate)
    simulate.add_argument("--raters", metavar="N", type=positive, default=20, help="simulated raters")
    simulate.add_argument("--cheaters", metavar="N", type=int, default=0, help="of them, raters who cheat")
    simulate.add_argument("--truth", metavar="FILE", type=Path, help="table image,mos of true MOS (default: all 3)")
    simulate.add_argument("--seed", metavar="N", type=int, default=0, help="seed of the draws")
    simulate.set_defaults(task=_simulate)

    analyse = add_command(commands, "analyse", "MOS, raters, agreement: a report and tables")
    _folder(analyse)
    analyse.add_argument("--out", metavar="FOLDER", type=Path, required=True, help="folder for report and tables")
    analyse.add_argument("--keep-all", action="store_true", help="leave no rater out")
    analyse.add_argument("--half-width", metavar="X", type=float, default=0.25, help="wanted interval: MOS +- X")
    analyse.set_defaults(task=_analyse)

    agree = add_command(commands, "agree", "agreement of a judge with the study's people, beside their own")
    _folder(agree)
    agree.add_argument(
        "--scores", metavar="FILE", type=Path, help="table of `snellen score`; without one, --model scores"
    )
    agree.add_argument("--model", default="snellen-1", help="the judge, as for `snellen assess`")
    agree.add_argument("--keep-all", action="store_true", help="leave no rater out")
    agree.add_argument("--json", action="store_true", help="print one JSON object")
    agree.set_defaults(task=_agree)


def _folder(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", metavar="FOLDER", type=Path, help="a study")


def run(args: argparse.Namespace) -> int:
    """Run one of the commands; return the exit code."""
    code: int = args.task(args)
    return code


def _init(args: argparse.Namespace) -> int:
    from snellen.study.plan import ANSWERS, create_study, find_sources
    from snellen.study.rubric import read_rubric, rubric_of
    from snellen.study.store import Store

    if args.rubric and args.method:
        raise UsageError("--method is for studies without --rubric; write method into the file")
    rubric = read_rubric(args.rubric) if args.rubric else rubric_of({"method": args.method or "acr"})
    base = args.rubric.parent if args.rubric else Path()
    plan = create_study(args.folder, find_sources(args.pictures), rubric, base)
    Store(args.folder / ANSWERS).create()
    count = len(plan.rated)
    print(f"{args.folder}: {rubric.method}, {count} pictures to rate; next: snellen study invite {args.folder} 20")
    return OK


def _invite(args: argparse.Namespace) -> int:
    from snellen.study.session import Study

    store = Study(args.folder).store
    made = [(args.renew, store.renew(args.renew))] if args.renew else store.invite(args.count)
    for code, token in made:
        print(f"{code}\t{args.url.rstrip('/')}/#{token}")
    print("each link is for one rater and one browser; only its digest is stored: keep this list", file=sys.stderr)
    return OK


def _raters(args: argparse.Namespace) -> int:
    from snellen.study.session import Study

    study = Study(args.folder)
    raters = study.store.raters()
    if not raters:
        print(NOBODY.format(args.folder), file=sys.stderr)
    for rater in raters:
        done, total = study.store.next_position(rater.code), len(study.store.tasks(rater.code))
        stage = "finished" if rater.finished else f"{done} of {total}" if rater.opened else "not opened"
        print(f"{rater.code}\t{stage}")
    return OK


def _serve(args: argparse.Namespace) -> int:
    from snellen.apps.study.app import study_app
    from snellen.apps.web.run import run_app
    from snellen.study.session import Study

    study = Study(args.folder)
    raters = study.store.raters()
    if not raters:
        complain(NOBODY.format(args.folder))
    if any(rater.simulated for rater in raters):
        raise UsageError(f"{args.folder} holds answers of simulated raters; make a new study for people")
    loopback = args.host in ("127.0.0.1", "localhost", "::1")
    hosts = (*args.allowed_host, *LOOPBACK) if loopback or args.allowed_host else ()
    if not loopback:
        complain("links and answers cross the network readable; put a server with HTTPS in front, see docs/study.md")
    limits = Limits(body=MEGABYTE, bodies=64 * MEGABYTE)
    options = replace(WebOptions(), host=args.host, port=args.port, hosts=hosts, limits=limits, drain=10)
    return run_app(study_app(study, options), options, f"study {study.plan.rubric.title!r}")


def _simulate(args: argparse.Namespace) -> int:
    from snellen.study.session import Study
    from snellen.study.simulation import simulate_study

    study = Study(args.folder)
    count = simulate_study(study, args.raters, args.cheaters, args.truth, args.seed)
    print(f"{args.folder}: {args.raters} simulated raters gave {count} answers; the study is not for people any more")
    return OK


def _analyse(args: argparse.Namespace) -> int:
    from snellen.study.analysis import analyse
    from snellen.study.report import write_analysis
    from snellen.study.session import Study

    study = Study(args.folder)
    if not args.half_width > 0:
        raise UsageError(f"--half-width is more than 0, not {args.half_width}")
    found = analyse(study, keep_all=args.keep_all)
    args.out.mkdir(parents=True, exist_ok=True)
    for line in write_analysis(found, args.out, args.half_width):
        print(line)
    announce(args.out / "report.html")
    return OK


def _agree(args: argparse.Namespace) -> int:
    import json

    from snellen.study.analysis import analyse
    from snellen.study.judge import judge_agreement, read_scores, score_pictures
    from snellen.study.session import Study

    found = analyse(Study(args.folder), keep_all=args.keep_all)
    scores = read_scores(args.scores, found.plan) if args.scores else score_pictures(args.model, found.plan)
    agreement = judge_agreement(found, scores)
    print(json.dumps(agreement.to_dict()) if args.json else agreement.text())
    return OK
