"""`twotower train rerank`: fit a reranker on judgements and the shop's own recall, and write its model card."""

from __future__ import annotations

import shlex
from argparse import Namespace
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, fields
from datetime import UTC, date, datetime
from pathlib import Path
from typing import get_args

from multimodal.hub import DEFAULT_TEXT_MODEL
from multimodal.text.encoder import TextEncoder
from rerank.cross_encoder.checkpoint import check_replaceable
from rerank.cross_encoder.reranker import CrossEncoderReranker
from rerank.errors import NotFittedError
from rerank.model_card import PACKAGES, Metric, ModelCard, installed_versions
from rerank.training.losses import LossName
from rerank.training.mining import MinedPairs, mine_pairs, normalized
from rerank.training.options import FitOptions
from rerank.training.report import FitReport, TrainingEvaluation
from twotower.commands import arguments
from twotower.commands.command import Commands, add_command
from twotower.commands.watching import Watch, tensorboard, weights_and_biases
from twotower.errors import JudgementError
from twotower.evaluation.judgements import METRIC, JudgedReport, measure_judged
from twotower.ingest.beir import read_qrels, read_queries
from twotower.ingest.catalogue import read_catalogue
from twotower.presets import Retriever
from twotower.towers.dual_encoder import DualEncoder
from twotower.types import Query

Say = Callable[[str], object]


def add_to(commands: Commands) -> None:
    """Add the commands to the command line."""
    train = add_command(
        commands,
        "train",
        "fit a model on your own judgements",
        "twotower train rerank --data beir/ --out reranker/",
    )
    rerank = add_command(
        train.add_subparsers(required=True, metavar="MODEL", dest="model"),
        "rerank",
        "fit a reranker on judgements, with negatives from your own recall",
        "twotower train rerank --data beir/ --out reranker/ --minutes 30",
        run,
    )
    rerank.add_argument(
        "--data", type=Path, required=True, metavar="DIR",
        help="BEIR folder: corpus.jsonl, queries.jsonl, qrels/train.tsv and, to measure on, qrels/dev.tsv",
    )  # fmt: skip
    rerank.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for the fitted model")
    rerank.add_argument("--base", metavar="MODEL", help="model to start from (default: all-MiniLM-L6-v2)")
    rerank.add_argument("--loss", choices=get_args(LossName), help="loss to minimise (default: pointwise)")
    rerank.add_argument("--minutes", type=arguments.positive, metavar="M", help="time limit for fitting")
    rerank.add_argument(
        "--epochs", type=arguments.count, metavar="N", help="passes over the pairs (default: 1)"
    )
    rerank.add_argument(
        "--negatives", type=arguments.count, metavar="N", help="unjudged items per query (default: 4)"
    )
    rerank.add_argument(
        "--max-length", type=arguments.count, metavar="N", help="maximum tokens per pair (default: 128)"
    )
    rerank.add_argument("--seed", type=int, metavar="S", help="random seed (default: 0)")
    rerank.add_argument(
        "--store", type=Path, metavar="DIR", help="use a store's items and recall instead of corpus.jsonl"
    )
    rerank.add_argument(
        "--checkpoint", type=Path, metavar="DIR",
        help="where an interrupted training run resumes from (default: beside --out)",
    )  # fmt: skip
    rerank.add_argument(
        "--tensorboard", type=Path, metavar="DIR", help="also write the losses to TensorBoard"
    )
    rerank.add_argument("--wandb", metavar="PROJECT", help="also send the losses to Weights & Biases")


def run(given: Namespace) -> None:
    """Run the command."""
    names = [each.name for each in fields(Training)]
    chosen = {name: value for name in names if (value := getattr(given, name)) is not None}
    train_rerank(Training(**chosen), today=datetime.now(UTC).date(), say=print)


@dataclass(frozen=True, slots=True)
class Training:
    """What to fit, and on what.

    Args:
        data: a BEIR folder with qrels/train.tsv; qrels/dev.tsv, if there is one, is only used to measure.
        out: folder for the fitted model.
        base: a hub name or a folder; the model need not have a scoring head.
        loss: as in `CrossEncoderReranker.fit`.
        minutes: time limit for fitting; None is no limit.
        epochs: passes over the pairs.
        negatives: unjudged items per query, from recall.
        max_length: tokens per pair at most.
        seed: of the negatives and of the fit.
        store: the store whose items and recall to use; None indexes corpus.jsonl in memory, for words and vectors.
        checkpoint: the folder that an interrupted training run resumes from; None is one beside `out`.
        tensorboard: folder for the losses, or None.
        wandb: project of Weights & Biases for the losses, or None.
    """

    data: Path
    out: Path
    base: str = DEFAULT_TEXT_MODEL
    loss: LossName = "pointwise"
    minutes: float | None = None
    epochs: int = 1
    negatives: int = 4
    max_length: int = 128
    seed: int = 0
    store: Path | None = None
    checkpoint: Path | None = None
    tensorboard: Path | None = None
    wandb: str | None = None

    @property
    def resumes_from(self) -> Path:
        """The checkpoint's folder."""
        out = self.out.expanduser().absolute()
        return out.with_name(f"{out.name}-checkpoint") if self.checkpoint is None else self.checkpoint

    def settings(self) -> dict[str, int | float | str | None]:
        """What the model card and trackers record: numbers and names, but no paths."""
        return {
            "base model": self.base_name or Path(self.base).name,
            "loss": self.loss,
            "time limit in minutes": self.minutes,
            "epochs": self.epochs,
            "negatives per query": self.negatives,
            "tokens per pair at most": self.max_length,
            "seed": self.seed,
        }

    @property
    def base_name(self) -> str | None:
        """Name of the base model on the hub; None if it is a folder."""
        return None if Path(self.base).expanduser().is_dir() else self.base

    def command(self) -> str:
        """The command line, with folder names instead of paths, except for that of the base model."""
        given = {
            "--data": _name(self.data),
            "--out": _name(self.out),
            "--base": self.base,
            "--loss": self.loss,
            "--minutes": None if self.minutes is None else f"{self.minutes:g}",
            "--epochs": self.epochs,
            "--negatives": self.negatives,
            "--max-length": self.max_length,
            "--seed": self.seed,
            "--store": None if self.store is None else _name(self.store),
        }
        words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
        return shlex.join(["twotower", "train", "rerank", *words])


@dataclass(frozen=True, slots=True)
class Judged:
    """Queries by id, and the judgements of both splits; `dev` has no query whose words are in `train`."""

    queries: Mapping[str, Query]
    train: Mapping[str, Mapping[str, int]]
    dev: Mapping[str, Mapping[str, int]]


def train_rerank(training: Training, *, today: date, say: Say) -> JudgedReport | None:
    """Mine, fit, measure and save; an interrupted training run resumes where it stopped.

    Args:
        training: what to fit, and on what.
        today: the date on the model's card.
        say: called with each line of the report.

    Returns:
        The measurements on the dev split; None if there is nothing to measure on.

    Raises:
        CatalogueError: the data cannot be read.
        JudgementError: there is nothing to learn from.
        ModelNotFoundError: the base model is a path that does not exist.
        RerankError: the model cannot be opened, fitted or saved.
        KeyboardInterrupt: with a message that says how to resume.
    """
    check_replaceable(training.out.expanduser().absolute())
    reranker = CrossEncoderReranker(training.base, max_length=training.max_length)
    judged = _read(training.data)
    with ExitStack() as closing:
        watches = list(_watches(training, closing))
        retriever = closing.enter_context(_retriever(training))
        mined = mine_pairs(
            retriever, judged.queries, judged.train, negatives=training.negatives, seed=training.seed
        )
        say(str(mined))
        base = _base(training)
        for line in _told(_fit(reranker, mined, training, watches)):
            say(line)
        # The checkpoint is gone now, so save before measuring.
        reranker.save(training.out, card=_card(training, mined, None, today))
        report = _measured(retriever, reranker, base, judged, training.seed)
    if report is None:
        say("no dev judgements of queries that are not in train: nothing was measured")
    else:
        for line in report.lines():
            say(line)
    reranker.save(training.out, card=_card(training, mined, report, today))
    say(f"saved to {training.out}")
    return report


def _read(folder: Path) -> Judged:
    queries, train = read_queries(folder), read_qrels(folder, "train")
    dev = read_qrels(folder, "dev") if (folder / "qrels" / "dev.tsv").exists() else {}
    for split, qrels in (("train", train), ("dev", dev)):
        if missing := [query for query in qrels if query not in queries]:
            raise JudgementError(
                f"qrels/{split}.tsv judges the query {missing[0]!r}, which is not in queries.jsonl: add it there"
            )
    trained = {normalized(queries[query].text) for query in train}
    fresh = {query: grades for query, grades in dev.items() if normalized(queries[query].text) not in trained}
    return Judged(queries, train, {query: fresh[query] for query in fresh if queries[query].text.strip()})


def _watches(training: Training, closing: ExitStack) -> Iterator[Watch]:
    if training.tensorboard is not None:
        yield closing.enter_context(tensorboard(training.tensorboard))
    if training.wandb is not None:
        yield closing.enter_context(weights_and_biases(training.wandb, training.settings()))


def _retriever(training: Training) -> Retriever:
    if training.store is not None:
        return Retriever.open(training.store, read_only=True)
    items = list(read_catalogue(training.data))
    retriever = Retriever(DualEncoder(TextEncoder()))
    retriever.upsert(items)
    return retriever


def _fit(
    reranker: CrossEncoderReranker, mined: MinedPairs, training: Training, watches: list[Watch]
) -> FitReport:
    def watch(evaluation: TrainingEvaluation) -> None:
        for each in watches:
            each(evaluation)

    try:
        return reranker.fit(
            mined.pairs,
            mined.grades,
            groups=mined.groups,
            loss=training.loss,
            epochs=training.epochs,
            options=FitOptions(
                max_seconds=None if training.minutes is None else 60 * training.minutes,
                seed=training.seed,
                checkpoint=training.resumes_from,
                watch=watch,
            ),
        )
    except KeyboardInterrupt as stop:
        raise KeyboardInterrupt(
            f"interrupted: run the same command to resume from {training.resumes_from}"
        ) from stop


def _told(report: FitReport) -> Iterator[str]:
    best = next(
        (each for each in report.evaluations if each.step == report.best_step), report.evaluations[-1]
    )
    ended = ", stopped early" if report.stopped_early else ", out of time" if report.out_of_time else ""
    yield (
        f"{report.steps:,} steps on {report.train_pairs:,} pairs in {report.seconds:,.0f} s{ended}; "
        f"best at step {report.best_step:,} with held-out loss {best.held_out_loss:.4f} "
        f"({report.held_out_pairs:,} pairs)"
    )


def _measured(
    retriever: Retriever,
    reranker: CrossEncoderReranker,
    base: CrossEncoderReranker | None,
    judged: Judged,
    seed: int,
) -> JudgedReport | None:
    dev = {
        query: grades
        for query, grades in judged.dev.items()
        if any(grade > 0 and item in retriever for item, grade in grades.items())
    }
    return measure_judged(retriever, reranker, judged.queries, dev, base=base, seed=seed) if dev else None


def _base(training: Training) -> CrossEncoderReranker | None:
    """The base model from before the fit, which may overwrite it; None if it has no scoring head to compare with."""
    base = CrossEncoderReranker(training.base, max_length=training.max_length)
    try:
        base.score([("query", "document")])
    except NotFittedError:
        return None
    return base


def _card(training: Training, mined: MinedPairs, report: JudgedReport | None, today: date) -> ModelCard:
    data: dict[str, int | str] = {
        "training queries": mined.queries,
        "training pairs": len(mined.pairs),
        "judged pairs": mined.judged,
        "negatives from recall": mined.near,
        "negatives from all items": mined.far,
    }
    measured = () if report is None else report.orderings
    if report is not None:
        data |= {"dev queries": report.queries, "dev pairs": report.pairs}
    return ModelCard(
        name=_name(training.out),
        made_on=today,
        dataset=_name(training.data),
        data=data,
        settings=training.settings(),
        metrics=[
            Metric(each.name, METRIC, each.ndcg.mean, each.ndcg.low, each.ndcg.high) for each in measured
        ],
        command=training.command(),
        base_model=training.base_name,
        versions=installed_versions(("twotower", *PACKAGES)),
    )


def _name(folder: Path) -> str:
    return folder.expanduser().resolve().name
