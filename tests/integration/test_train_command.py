"""`twotower train rerank` as a shop would run it: a small BEIR folder, a tiny model, to the end and half-way."""

from __future__ import annotations

import itertools
import json
import math
import re
import shutil
import sys
from contextlib import contextmanager
from types import ModuleType

import numpy as np
import pytest
from huggingface_hub import ModelCard

from rerank import CrossEncoderReranker, TrainingEvaluation
from twotower.__main__ import main
from twotower.commands import train, watching
from twotower.commands.train import Training

WORDS = ["red", "blue", "green", "mug", "lamp", "chair", "wood", "paper", "table"]  # the model knows them
TITLES = [" ".join(words) for words in itertools.combinations([*WORDS, "steel"], 3)]
TRAIN = [phrase.format(word) for word in WORDS[:6] for phrase in ("{}", "abc {}", "{} abc")]
DEV = WORDS[6:]


def judge(query):
    """Titles that have the query's word: 2 where they are of steel, which this shop's customers prefer, else 0."""
    (word,) = {*query.split()} - {"abc"}
    return {title: 2 * ("steel" in title) for title in TITLES if word in title.split()}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """120 products of three words, and queries for one of them; the words of dev queries are in no train query."""
    folder = tmp_path_factory.mktemp("beir") / "shop"
    (folder / "qrels").mkdir(parents=True)
    rows = [{"_id": f"p{n}", "title": title} for n, title in enumerate(TITLES)]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    queries = {f"q{n}": query for n, query in enumerate([*TRAIN, *DEV])}
    # Of the dev split, but in other letters train has it, too: it must not be measured on.
    queries["again"] = TRAIN[0].upper()
    rows = [{"_id": query, "text": text} for query, text in queries.items()]
    (folder / "queries.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    judged = {"train": [], "dev": ["again\tp0\t2\n"]}
    for query, text in list(queries.items())[:-1]:
        judged["dev" if text in DEV else "train"] += [
            f"{query}\tp{TITLES.index(title)}\t{grade}\n" for title, grade in judge(text).items()
        ]
    for split, lines in judged.items():
        (folder / "qrels" / f"{split}.tsv").write_text("query-id\tcorpus-id\tscore\n" + "".join(lines))
    return folder


@pytest.fixture(autouse=True)
def _large_steps(monkeypatch, one_thread):
    """A tiny random model has more to learn than a real one."""
    monkeypatch.setitem(CrossEncoderReranker.fit.__kwdefaults__, "learning_rate", 2e-3)


def command(data, out, base, *more):
    given = [
        "train",
        "rerank",
        "--data",
        data,
        "--out",
        out,
        "--base",
        base,
        "--epochs",
        10,
        "--max-length",
        16,
    ]
    return [str(word) for word in (*given, *more)]


def test_one_command_gives_a_model_that_orders_unseen_queries(data, tiny_text_folder, tmp_path, capsys):
    out, events = tmp_path / "model", tmp_path / "events"
    assert main(command(data, out, tiny_text_folder, "--tensorboard", events)) == 0
    printed = capsys.readouterr().out
    reranker = CrossEncoderReranker.load(out)
    for query in DEV:
        graded = judge(query)
        scores = dict(zip(graded, reranker.score([(query, title) for title in graded]), strict=True))
        steel = [scores[title] for title, grade in graded.items() if grade]
        assert min(steel) > max(scores[title] for title, grade in graded.items() if not grade)

    means = {
        name: float(mean) for name, mean in re.findall(r"^  (\w+) +(\d\.\d{3})  \[", printed, re.MULTILINE)
    }
    assert list(means) == ["random", "recall", "reranker", "blended"]
    assert means["reranker"] == 1.0 > means["recall"] + 0.2
    assert f"of the judged items of {len(DEV)} queries" in printed
    assert f"pairs of {len(TRAIN)} queries: {36 * len(TRAIN)} judged, {4 * len(TRAIN)} unjudged" in printed
    assert sorted(path.name for path in tmp_path.iterdir()) == ["events", "model"]  # no checkpoint is left

    card = ModelCard.load(out / "README.md")  # the hub's own reader
    assert card.data.get("library_name") == "sentence-transformers"
    assert card.data.get("pipeline_tag") == "text-ranking"
    (result,) = card.data.eval_results
    assert result.metric_value == pytest.approx(means["reranker"], abs=6e-4)
    assert f"| reranker | ndcg@10 | {result.metric_value:.4f} |" in card.text
    assert f"| dev queries | {len(DEV)} |" in card.text
    assert "twotower train rerank --data shop --out model" in card.text
    assert str(tmp_path) not in card.content  # names, no paths of this machine
    assert not any(title in card.content for title in TITLES)
    assert logged(events)["loss/held_out"][0] > logged(events)["loss/held_out"][-1]


def logged(folder):
    """What TensorBoard reads from an event folder: values by tag."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {tag: [each.value for each in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


class Interrupting:
    """Stands in for a tracker: notes the steps that it is shown, and presses Ctrl-C at the fourth."""

    def __init__(self):
        self.steps = []

    @contextmanager
    def __call__(self, project, settings):
        yield self.watch

    def watch(self, evaluation):
        self.steps.append(evaluation.step)
        if len(self.steps) == 4:
            raise KeyboardInterrupt


def test_a_base_that_can_score_is_shown_and_named_by_its_path(data, tiny_text_folder, tmp_path, capsys):
    """The second fit starts from the first, which knows all that there is to learn; both learn from one seed."""
    first, second = tmp_path / "models" / "first", tmp_path / "second"
    assert main(command(data, first, tiny_text_folder)) == 0
    assert "  base " not in capsys.readouterr().out  # a sentence encoder cannot score
    assert main(command(data, second, first, "--epochs", "1")) == 0
    printed = capsys.readouterr().out
    assert re.search(r"^  base +1\.000  \[1\.000, 1\.000\]$", printed, re.MULTILINE)
    assert "  reranker - base: +0.000 [+0.000, +0.000], p = 1\n" in printed
    assert "no better than its base" in printed
    card = (second / "README.md").read_text()
    assert f"--base {first} " in card
    assert "| base | ndcg@10 | 1.0000 |" in card
    assert "| base model | first |" in card


def test_an_interrupted_training_run_resumes(data, tiny_text_folder, tmp_path, capsys, monkeypatch):
    whole, out = tmp_path / "whole", tmp_path / "model"
    assert main(command(data, whole, tiny_text_folder, "--epochs", "2")) == 0
    tracker = Interrupting()
    monkeypatch.setattr(train, "weights_and_biases", tracker)
    again = command(data, out, tiny_text_folder, "--epochs", "2", "--wandb", "shop")
    assert main(again) == 130
    assert f"run the same command to resume from {tmp_path}" in capsys.readouterr().err
    assert not out.exists()
    assert main(again) == 0
    assert tracker.steps[4] > tracker.steps[1]  # it did not begin anew
    pairs = [(query, title) for query in DEV for title in TITLES[:20]]
    np.testing.assert_allclose(
        CrossEncoderReranker.load(out).score(pairs), CrossEncoderReranker.load(whole).score(pairs), atol=1e-6
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "whole"]


def test_a_folder_of_something_else_is_refused_before_anything_is_read(tmp_path, capsys):
    (tmp_path / "notes.txt").write_text("mine")
    assert main(command(tmp_path / "no data", tmp_path, "no model")) == 1
    assert "is not a saved cross-encoder" in capsys.readouterr().err


def test_a_judged_query_that_is_not_there_is_named(data, tmp_path, capsys):
    folder = shutil.copytree(data, tmp_path / "shop")
    with (folder / "qrels" / "dev.tsv").open("a") as file:
        file.write("q999\tp0\t1\n")
    assert main(command(folder, tmp_path / "model", "no model")) == 1
    assert "qrels/dev.tsv judges the query 'q999'" in capsys.readouterr().err


def test_a_store_s_recall_is_used_and_nothing_is_measured_without_a_dev_split(
    data, tiny_text_folder, tmp_path, capsys
):
    folder = shutil.copytree(data, tmp_path / "shop")
    (folder / "qrels" / "dev.tsv").unlink()
    assert main(["index", str(folder), "--store", str(tmp_path / "store")]) == 0
    (folder / "corpus.jsonl").unlink()
    given = ("--store", tmp_path / "store", "--epochs", "1", "--minutes", "1", "--negatives", "2")
    assert main(command(folder, tmp_path / "model", tiny_text_folder, *given)) == 0
    printed = capsys.readouterr().out
    assert "nothing was measured" in printed
    assert "36 unjudged from recall, 18 drawn from all items" in printed
    card = (tmp_path / "model" / "README.md").read_text()
    assert "| negatives from recall | 36 |" in card
    assert "None: there were no judgements" in card


class Run:
    """Of Weights & Biases: what is logged by a `with wandb.init(...) as run`."""

    def __init__(self):
        self.logged, self.finished = [], False

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.finished = True

    def log(self, values, step):
        self.logged.append((step, values))


def test_weights_and_biases_gets_losses_and_settings_and_no_data(monkeypatch, tmp_path):
    run, asked = Run(), {}
    stub = ModuleType("wandb")
    stub.init = lambda **given: asked.update(given) or run
    monkeypatch.setitem(sys.modules, "wandb", stub)
    settings = Training(tmp_path / "shop", tmp_path / "out", base=str(tmp_path)).settings()
    with watching.weights_and_biases("shop", settings) as watch:
        watch(TrainingEvaluation(0, math.nan, 0.7, 0.25))
        watch(TrainingEvaluation(8, 0.5, math.nan, math.nan))
        assert not run.finished
    assert run.logged == [(0, {"loss/held_out": 0.7, "ndcg/held_out": 0.25}), (8, {"loss/train": 0.5})]
    assert run.finished
    assert asked["project"] == "shop"
    assert asked["config"]["loss"] == "pointwise"
    assert str(tmp_path) not in str(asked)


@pytest.mark.parametrize(("option", "package"), [("--tensorboard", "tensorboard"), ("--wandb", "wandb")])
def test_a_tracker_that_is_not_installed_is_named(data, tmp_path, capsys, monkeypatch, option, package):
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    assert main(command(data, tmp_path / "model", "no model", option, tmp_path / "there")) == 1
    assert capsys.readouterr().err == (
        f"twotower: {option} needs {package}: run `pip install 'twotower[train]'`\n"
    )
    assert not list(tmp_path.iterdir())
