from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from huggingface_hub import ModelCard as HubCard

from rerank import CrossEncoderReranker, Metric, ModelCard
from rerank.model_card import installed_versions

CARD = ModelCard(
    name="shop: a|b #1",
    made_on=date(2026, 3, 1),
    dataset="shop",
    data={"training pairs": 12_000},
    settings={"loss": "listwise", "note": "one | two\nthree"},
    metrics=[Metric("recall", "ndcg@10", 0.5, 0.4, 0.6), Metric("reranker", "ndcg@10", 0.76543, 0.7, 0.8)],
    command="twotower train rerank --data shop",
    base_model="owner/name",
    versions=installed_versions(("torch", "no-such-distribution")),
)


def test_the_hub_reads_the_card_that_is_saved_with_the_model(scorer, tmp_path):
    CrossEncoderReranker(scorer).save(tmp_path / "model", card=CARD)
    card = HubCard.load(tmp_path / "model" / "README.md")
    data = card.data
    assert {
        "library_name": "sentence-transformers",
        "pipeline_tag": "text-ranking",
        "base_model": "owner/name",
    }.items() <= data.to_dict().items()
    assert data.model_name == CARD.name  # a colon and a hash, which YAML would read as its own
    (result,) = data.eval_results  # the model's own, not that of recall
    assert (result.dataset_name, result.metric_type, result.metric_value) == ("shop", "ndcg@10", 0.7654)
    lines = card.text.splitlines()
    assert "| training pairs | 12,000 |" in lines
    assert r"| note | one \| two three |" in lines
    assert "| reranker | ndcg@10 | 0.7654 | [0.7000, 0.8000] |" in lines
    assert any(line.startswith("| torch | ") for line in lines)
    assert "no-such-distribution" not in card.text
    assert "Created on 2026-03-01." in card.text


def test_a_card_that_cannot_be_written_leaves_what_was_there(scorer, tmp_path, monkeypatch):
    reranker = CrossEncoderReranker(scorer)
    reranker.save(tmp_path / "model", card="the first")
    write = Path.write_text

    def full(self, text, **options):
        if self.name == "README.md":
            raise OSError("no space left")
        return write(self, text, **options)

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(OSError, match="no space"):
        reranker.save(tmp_path / "model", card="the second")
    assert [path.name for path in tmp_path.iterdir()] == ["model"]
    assert (tmp_path / "model" / "README.md").read_text() == "the first"
    monkeypatch.undo()
    reranker.save(tmp_path / "model")  # without a card the earlier one does not stay: it is of other weights
    assert not (tmp_path / "model" / "README.md").exists()
