from __future__ import annotations

import ir_measures
import numpy as np
import pytest
from ir_measures import AP, R, nDCG

from twotower.evaluation import evaluate_run, write_run


def test_ir_measures_on_the_written_file_gives_our_numbers(tmp_path):
    rng = np.random.default_rng(0)
    documents = [f"d{number}" for number in range(300)]
    # Ties, and scores that only double precision tells apart.
    run = {
        f"q{query}": {
            document: float(np.round(rng.random(), 1) + 1e-12 * rng.integers(3))
            for document in rng.permutation(documents)[:150]
        }
        for query in range(20)
    }
    qrels = {query: {str(d): int(rng.integers(4)) for d in rng.permutation(documents)[:80]} for query in run}
    write_run(tmp_path / "run.txt", run, "mine")
    found = ir_measures.calc_aggregate(
        [nDCG @ 10, AP, R @ 100], qrels, ir_measures.read_trec_run(str(tmp_path / "run.txt"))
    )
    ours = evaluate_run(run, qrels, ["ndcg@10", "map", "recall@100"])
    assert list(ours.values()) == pytest.approx([found[nDCG @ 10], found[AP], found[R @ 100]], abs=1e-9)


def test_a_line_holds_query_document_rank_score_and_name(tmp_path):
    write_run(tmp_path / "run.txt", {"q": {"a": 0.5, "b": 2.0}, "none": {}})
    assert (tmp_path / "run.txt").read_text() == "q Q0 b 1 2.0 twotower\nq Q0 a 2 0.5 twotower\n"
    write_run(tmp_path / "ties.txt", {"q": {"a": -1.0, "b": -1.0}}, "mine")
    (_, _, best, _, high, _), (_, _, _, _, low, _) = map(
        str.split, (tmp_path / "ties.txt").read_text().splitlines()
    )
    assert (best, np.float32(high)) == ("b", -1)
    assert np.float32(low) < np.float32(high)


@pytest.mark.parametrize("run", [{"q 1": {"a": 1.0}}, {"q": {"a b": 1.0}}, {"q": {"": 1.0}}])
def test_ids_that_the_format_cannot_hold_are_refused(tmp_path, run):
    with pytest.raises(ValueError, match="white space"):
        write_run(tmp_path / "run.txt", run)
    assert not (tmp_path / "run.txt").exists()
