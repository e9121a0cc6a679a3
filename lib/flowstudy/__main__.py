"""The command line of the project: `flowstudy --help` lists its commands, `make` the usual uses."""

from __future__ import annotations

import argparse
import os
import sys

from flowstudy.notebook import NotebookError
from flowstudy.progress import say
from flowstudy.run_folder import os_problem
from flowstudy.study import NOTEBOOKS


def main(arguments: list[str] | None = None) -> int:
    """Run one command; prints an error in one line and returns its exit status."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.call(options))
    except OSError as error:
        say(f"error: {os_problem(error)}", file=sys.stderr)
        return 2
    except (NotebookError, ValueError) as error:
        say(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        say("stopped; run the same command again to resume", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="flowstudy", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="command")

    study = commands.add_parser("study", help="run the study of study.yaml, or what is left of it")
    study.add_argument("--profile", default="laptop")
    study.add_argument("--corpus", help="`shipped`, `step-functions` or a corpus.jsonl")
    study.add_argument("--systems", help="names of study.yaml or provider/model, separated by spaces")
    study.add_argument("--run", help="name of the run folder below runs/ (default: profile and corpus)")
    _add_machine(study)
    study.set_defaults(call=_study)

    for name, call, words in (
        ("sweep", _sweep, "run every cell of the matrix of study.yaml, or what is left of it"),
        ("plan", _plan, "what a sweep would do: its cells, counted and priced; runs nothing"),
    ):
        sweep = commands.add_parser(name, help=words)
        sweep.add_argument("--profile", default="laptop")
        sweep.add_argument("--run", help="name of the sweep's folder below runs/ (default: sweep-<profile>)")
        _add_machine(sweep)
        sweep.set_defaults(call=call)

    status = commands.add_parser("status", help="where a run or sweep stands; writes status.html into its folder")
    status.add_argument("--run", help="default: the one that was last at work")
    status.set_defaults(call=_status)

    notebook = commands.add_parser("notebook", help="execute one notebook of a run (the runner calls this)")
    notebook.add_argument("name", choices=list(NOTEBOOKS))
    notebook.add_argument("--run", required=True)
    notebook.add_argument("--threads", type=int, help="of the numerical libraries; default: their own")
    notebook.add_argument("--watched", action="store_true", help="end when the runner of this run is gone")
    notebook.set_defaults(call=_notebook)

    adopt = commands.add_parser("adopt", help="take over the notebooks that cells share (the runner calls this)")
    adopt.add_argument("--run", required=True)
    adopt.set_defaults(call=_adopt)

    check = commands.add_parser("corpus-check", help="every check on a corpus, one page")
    check.add_argument("corpus", nargs="?", default="shipped")
    check.add_argument("--all", action="store_true", help="every fault, not five of each kind")
    check.set_defaults(call=_corpus_check)

    compare = commands.add_parser("compare", help="what changed between two runs, one page")
    compare.add_argument("run_a", help="name below runs/, or a path")
    compare.add_argument("run_b")
    compare.set_defaults(call=_compare)

    reference = commands.add_parser("reference", help="run the reference and put it into notebooks/rendered, figures")
    reference.add_argument("--profile", default="laptop")
    reference.add_argument(
        "--sealed", action="store_true", help="answer the sealed examples too: once, at the very end"
    )
    reference.add_argument("--check", action="store_true", help="only say whether the committed one is up to date")
    reference.set_defaults(call=_reference)

    adapter = commands.add_parser("adapter", help="train the adapter that is shipped with the library again")
    adapter.add_argument("--minutes", type=float, help="stop training here; default: as study.yaml says")
    adapter.set_defaults(call=_adapter)

    load = commands.add_parser("import", help="turn workflow files of another platform into a corpus")
    load.add_argument(
        "source", help="a file, zip or folder: Logic Apps, Power Automate, n8n, Step Functions, Flow-Bench, JSON Lines"
    )
    load.add_argument("--to", required=True, help="folder for corpus.jsonl and catalogue.yaml")
    load.add_argument("--format", default="auto")
    load.add_argument("--drop-plumbing", action="store_true", help="leave out set-variable, parse and compose steps")
    load.set_defaults(call=_import)

    more = commands.add_parser("paraphrase", help="have a model say training requirements in other words, to train on")
    more.add_argument("corpus", help="a corpus.jsonl, or `shipped`")
    more.add_argument("--model", required=True, help="provider/model, or slm/base")
    more.add_argument("--to", required=True, help="the .jsonl file for the generated examples")
    more.add_argument("--per-example", type=_at_least_one, default=1)
    more.add_argument("--max-cost-usd", type=_money, default=1.0, help="`null` for a model without a known price")
    more.add_argument("--voices", default="", help="names in systems/prompts/paraphrase, with commas (default: all)")
    more.add_argument("--seed", type=int, default=7, help="decides which voice an example gets")
    more.set_defaults(call=_paraphrase)

    tag = commands.add_parser("tag", help="a page on which people tag the errors of a run")
    tag.add_argument("--run", required=True)
    tag.add_argument("--sampling", default="worst", help="worst, random, stratified, disagreements or adjudicate")
    tag.add_argument("--items", type=int, default=20, help="how many answers are queued")
    tag.add_argument("--seed", type=int, default=7, help="the same seed queues the same answers for everybody")
    tag.add_argument("--taxonomy", default="", help="YAML file with categories of your own")
    tag.add_argument("--blind", action="store_true", help="hide system, score and proposals")
    tag.add_argument("--adjudicator", action="append", default=[], help="who has the last word, for plan adjudicate")
    tag.add_argument("--host", default="127.0.0.1", help="0.0.0.0 lets other machines in")
    tag.add_argument("--port", type=int, default=0, help="0: the one it had before, or a free one")
    tag.set_defaults(call=_tag)

    tags = commands.add_parser("tags", help="carry the tags of a run out, or others' tags in")
    tags.add_argument("action", choices=["export", "import", "tasks"], help="tasks: for annotating in Label Studio")
    tags.add_argument("file", help="name ending in .jsonl, .csv or .json (Label Studio); a folder for tasks")
    tags.add_argument("--run", required=True)
    tags.set_defaults(call=_tags)

    out = commands.add_parser("export", help="answers of a run as AWS Step Functions definitions, to load them there")
    out.add_argument("--run", required=True)
    out.add_argument("--system", required=True, help="whose answers")
    out.add_argument("--to", required=True, help="folder for a definition each, and lost.csv: what they do not say")
    out.set_defaults(call=_export)

    ledger = commands.add_parser("ledger", help="what a run or sweep has spent; --spent corrects it, with a reason")
    ledger.add_argument("run", help="name below runs/, or a path")
    ledger.add_argument("--spent", type=float, help="US dollars that the providers really charged so far")
    ledger.add_argument("--reason", default="", help="why the ledger was wrong; it is kept in the ledger")
    ledger.set_defaults(call=_ledger)

    clean = commands.add_parser("clean-run", help="delete a run folder")
    clean.add_argument("--run", required=True)
    clean.set_defaults(call=_clean_run)
    return parser


def _add_machine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--cores", type=_at_least_one, default=os.cpu_count() or 1, help="jobs at a time on a cluster")
    parser.add_argument("--executor", default="", help="where jobs run: slurm, or a folder with a Snakemake profile")


def _at_least_one(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"expected a whole number of at least 1, got {text!r}")
    return int(text)


def _money(text: str) -> float | None:
    return None if text == "null" else float(text)


def _study(options: argparse.Namespace) -> int:
    from pathlib import Path

    from flowstudy.corpus import corpus_name
    from flowstudy.run import run_study
    from flowstudy.run_folder import open_run, project_root
    from flowstudy.study import load_study

    corpus = corpus_name(options.corpus) if options.corpus else None
    asked = {"profile": options.profile, "corpus": corpus, "systems": options.systems or None}
    study = load_study(project_root() / "study.yaml", options.profile, corpus, options.systems or None)
    name = options.run or "-".join([options.profile, *([Path(corpus).stem] if corpus and corpus != "shipped" else [])])
    return run_study(study, open_run(_run_path(name)), asked, options.cores, options.executor)


def _sweep(options: argparse.Namespace) -> int:
    from flowstudy.run import run_members
    from flowstudy.run_folder import open_run, project_root
    from flowstudy.study import load_study
    from flowstudy.sweep import expand, members

    cells = expand(load_study(project_root() / "study.yaml", options.profile))
    asked = {"profile": options.profile, "sweep": len(cells)}
    home = open_run(_run_path(options.run or f"sweep-{options.profile}"))
    skipped = {cell.name: cell.skipped for cell in cells if cell.skipped}
    return run_members(home, members(cells), asked, options.cores, options.executor, skipped)


def _plan(options: argparse.Namespace) -> int:
    from flowstudy.plan import describe
    from flowstudy.run_folder import project_root
    from flowstudy.study import load_study

    say(describe(load_study(project_root() / "study.yaml", options.profile)))
    return 0


def _status(options: argparse.Namespace) -> int:
    from flowstudy.run_folder import find_run
    from flowstudy.status import look, text, write_page

    run = find_run(_run_path(options.run) if options.run else None)
    status = look(run)
    say(f"{text(status)}\n{write_page(run, status)}")
    return 1 if status.count("failed") else 0


def _run_path(name: str) -> str:
    from pathlib import Path

    if not name:
        raise ValueError("run: expected a name, got none; RUN= gives it")
    if Path(name).is_absolute() or name.startswith("runs/"):
        return name
    safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).strip(".")
    return f"runs/{safe or 'run'}"


def _notebook(options: argparse.Namespace) -> int:
    from flowstudy.notebook import execute
    from flowstudy.run_folder import open_run

    if options.threads:
        for variable in ("OMP_NUM_THREADS", "NUMBA_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
            os.environ.setdefault(variable, str(options.threads))
    run = open_run(_run_path(options.run))
    inputs = run.read(f"inputs/{options.name}.json")
    execute(options.name, run, inputs["parameters"] if inputs else {}, watched=options.watched)
    return 0


def _adopt(options: argparse.Namespace) -> int:
    from flowstudy.run_folder import open_run
    from flowstudy.sharing import adopt, read_member

    run = open_run(_run_path(options.run))
    adopt(run, run.home_run.member(read_member(run)["base"]))
    return 0


def _corpus_check(options: argparse.Namespace) -> int:
    from flowstudy.corpus import check_corpus

    report = check_corpus(None if options.corpus == "shipped" else options.corpus)
    say(report.text(every=options.all))
    return 0 if report.ok else 1


def _compare(options: argparse.Namespace) -> int:
    from pathlib import Path

    from flowstudy.compare import compare_runs
    from flowstudy.run_folder import project_root

    given = (Path(name) for name in (options.run_a, options.run_b))
    paths = [path if path.is_dir() else project_root() / _run_path(str(path)) for path in given]
    say(compare_runs(*paths), end="")
    return 0


def _reference(options: argparse.Namespace) -> int:
    from flowstudy.reference import make_reference, stale
    from flowstudy.run_folder import project_root

    if not options.check:
        return make_reference(project_root(), options.profile, os.cpu_count() or 1, sealed=options.sealed)
    reasons = stale(project_root())
    say("\n".join(reasons) or "the reference run is that of this code")
    return int(bool(reasons))


def _adapter(options: argparse.Namespace) -> int:
    from flowstudy.run_folder import project_root
    from flowstudy.study import load_study
    from flowstudy.systems.slm.ship import make_adapter

    root = project_root()
    study = load_study(root / "study.yaml")
    recipe, variant = study.tuned()
    if options.minutes:
        recipe = recipe._replace(max_minutes=options.minutes)
    offers, work = study.retrieval, root / "runs" / "adapter"
    say(make_adapter(study.fine_tune.base, recipe, variant, offers.suggestions, offers.encoder, work))
    return 0


def _import(options: argparse.Namespace) -> int:
    from flowstudy.corpus.importers import import_corpus

    report = import_corpus(options.source, options.to, options.format, drop_plumbing=options.drop_plumbing)
    say(report)
    return 0 if report.written else 1


def _paraphrase(options: argparse.Namespace) -> int:
    from flowstudy.systems.paraphrase import paraphrase

    names = ("per_example", "max_cost_usd", "seed")
    voices = [voice for part in options.voices.split(",") if (voice := part.strip())]
    given = {name: getattr(options, name) for name in names}
    found = paraphrase(options.corpus, options.model, options.to, voices=voices, **given)
    say(found)
    return 0 if found.written and not found.unanswered else 1


def _tag(options: argparse.Namespace) -> int:
    from flowstudy.desk import serve_page, write_page

    names = ("sampling", "items", "seed", "taxonomy", "blind", "host", "port")
    given = {name: getattr(options, name) for name in names}
    return serve_page(write_page(_run_path(options.run), adjudicators=options.adjudicator, **given))


def _tags(options: argparse.Namespace) -> int:
    from flowstudy.desk import carry_tags

    say(carry_tags(options.action, options.file, _run_path(options.run)))
    return 0


def _export(options: argparse.Namespace) -> int:
    from pathlib import Path

    import pandas as pd

    from flowstudy.corpus.exporters import to_step_functions
    from flowstudy.corpus.store import load_corpus
    from flowstudy.files import write_csv, write_json
    from flowstudy.run_folder import open_run
    from flowstudy.systems.roster import read_answers

    run, folder = open_run(_run_path(options.run)), Path(options.to)
    texts = {example.id: example.requirement for example in load_corpus(run.require(run.corpus, "01_explore_data"))}
    answers = read_answers(run.predictions, texts, [options.system])
    if not answers:
        raise ValueError(f"system {options.system}: expected one that answered in run {options.run}, got none of its "
                         "answers; the table of notebook 03_prompt names those that did")  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, answer in enumerate(answers, start=1):
        if answer.flow is None:
            rows.append((answer.example, "", f"no flow: {answer.status}"))
            continue
        made, name = to_step_functions(answer.flow, texts[answer.example]), f"{number:04d}.asl.json"
        write_json(folder / name, made.document)
        rows += [(answer.example, name, said) for said in [*made.lost, *(f"to fill in: {one}" for one in made.to_fill)]]
    write_csv(folder / "lost.csv", pd.DataFrame(rows, columns=["example", "definition", "lost"]))
    written = sum(answer.flow is not None for answer in answers)
    say(f"{written} of {len(answers)} answers of {options.system} written to {folder}; lost.csv names what they lose")
    return 0


def _ledger(options: argparse.Namespace) -> int:
    from flowstudy.run_folder import open_run
    from flowstudy.systems.ledger import account, correct

    path = open_run(_run_path(options.run)).ledger
    if options.spent is not None:
        correct(path, options.spent, options.reason)
    say(account(path))
    return 0


def _clean_run(options: argparse.Namespace) -> int:
    from flowstudy.run import clean_run
    from flowstudy.run_folder import open_run

    clean_run(open_run(_run_path(options.run)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
