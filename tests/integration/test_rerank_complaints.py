"""What users complain about most in reranking and recency; see `test_deletes_and_filters`.

Complaints are named as in the projects' trackers.
"""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from fakes import OverlapReranker, PlaneEncoder
from scipy.special import expit
from shops import NOW, WORDS, Logits, aged, ids, random_texts, scores, shop

from rerank import CrossEncoderReranker, Decay, TruncationWarning, mine_pairs
from twotower import Event, IndexPolicy, Item, Retriever
from twotower.recall.vectors.maker import IndexMaker
from twotower.search.hybrid import Convex, ReciprocalRank


def judged(slope, intercept):
    """Pairs for `Logits` with their probabilities of being relevant, by a known map."""
    logits = np.linspace(-6, 6, 600)
    return [(f"query {n % 5}", str(x)) for n, x in enumerate(logits)], expit(slope * logits + intercept)


FORMS = {
    "exponential": lambda x: 0.5**x,
    "gaussian": lambda x: 0.5 ** (x * x),
    "linear": lambda x: max(0.0, 1 - x / 2),
}


@pytest.mark.parametrize("form", FORMS)
def test_b14_every_form_of_recency_and_stamps_of_the_future(form):
    """marqo#1330, #1342: boosts by recency came late, and stamps of the future need a rule.

    They are new, no more. Nothing is added to a score: by how much age may change it is `weight`, a share.
    """
    ages = [-400, -1, 0, 7, 30, 59, 3_000]
    retriever = shop([Item(str(age), "0", time=aged(age)) for age in ages], PlaneEncoder())
    hits = retriever.search("60", k=9, now=NOW, decay=Decay(30, weight=0.4, floor=0.1, form=form))
    expected = {
        str(age): 0.5 * (0.6 + 0.4 * (0.1 + 0.9 * FORMS[form](max(0, age) / 30)))  # cos(60 degrees) = 0.5
        for age in ages
    }
    assert scores(hits) == pytest.approx(expected, rel=1e-6)
    assert ids(hits) == [str(age) for age in ages]  # equals in the order of their writes


def test_b15_score_times_time_is_exact_in_the_engine():
    """qdrant#5311, milvus#24978, #29993: score x time is wanted inside the engine; linear decay "breaks down"."""
    angles = np.arange(0, 300, 0.3)
    ages = np.full(len(angles), 4_000.0)
    ages[300] = 0  # at 90 degrees, behind some seventy that are nearer to the query
    retriever = shop(
        [Item(str(n), str(angle), time=aged(ages[n])) for n, angle in enumerate(angles)],
        PlaneEncoder(waves=8),
        decay=Decay.linear(30, weight=1.0, floor=0.2),
    )
    turns = np.radians(np.outer(angles - 100, np.arange(1, 9)))
    similarity = np.cos(turns).mean(axis=1)
    expected = np.where(similarity > 0, similarity * np.where(ages == 0, 1.0, 0.2), similarity)
    assert np.sum(similarity > similarity[300]) > 50
    assert ids(retriever.search("100", k=1, now=NOW)) == ["300"]
    hits = retriever.search("100", k=len(angles), now=NOW)
    assert [scores(hits)[str(n)] for n in range(len(angles))] == pytest.approx(expected.tolist(), abs=1e-6)
    assert {hit.explain["freshness"] for hit in hits if hit.score > 0} == {0.2, 1.0}


CALENDAR = [Item(str(n), str(n * 0.3), time=aged(n * 37 % 200)) for n in range(1_000)]


@pytest.mark.parametrize("kind", ["graph", "graph-8bit", "ivf-rabitq"])
def test_b16_decay_works_with_every_index(monkeypatch, kind):
    """langchain#23077: the time-weighted retriever works only with FAISS; with others it returns []."""
    parts = {"encoder": PlaneEncoder(waves=8), "decay": Decay.half_life(30, weight=0.8)}
    exact = shop(CALENDAR, **parts)
    monkeypatch.setattr(IndexMaker, "kind", lambda self, rows: kind)
    other = shop(CALENDAR, index=IndexPolicy(exact_up_to=300), **parts)
    assert kind in {part.index for part in other.maintenance.stats().parts}
    for query in ("20", "123.4", "250"):
        expected = exact.search(query, k=10, now=NOW)
        hits = other.search(query, k=10, now=NOW)
        assert ids(hits) == ids(expected)
        assert ids(hits) != ids(other.search(query, k=10, decay=None))
        assert scores(hits) == pytest.approx(scores(expected), abs=2e-3)


def test_b17_decay_comes_after_the_fusion_of_ranks_and_counts():
    """nexus#4543: decay before rank fusion distorts the ranks. Bike4Mind#2241: as a tie-breaker it is inert."""
    texts = [f"red toner {word}" for word in WORDS]
    items = [Item(text, text, time=aged(300 if n % 2 else 0)) for n, text in enumerate(texts)]
    retriever = shop(items, hybrid=ReciprocalRank())
    plain = {hit.id: hit for hit in retriever.search("red toner saw", k=20)}
    hits = retriever.search("red toner saw", k=20, now=NOW, decay=Decay.half_life(30))
    assert len(hits) == len(plain) == len(texts)
    for hit in hits:
        *shares, freshness = hit.explain.values()
        assert shares == list(plain[hit.id].explain.values())
        assert freshness == pytest.approx(1.0 if texts.index(hit.id) % 2 == 0 else 0.7 + 0.3 * 2**-10)
        assert hit.score == pytest.approx(plain[hit.id].score * freshness)
    assert next(iter(plain)) == "red toner saw"  # first of both channels, and old
    assert hits[0].id != "red toner saw"


def test_b18_a_weight_of_zero_is_zero_and_one_for_a_search_counts():
    """haystack#7304, #7343: the weight of a run is ignored; then a weight of 0 is (`weight or self.weight`)."""
    retriever = shop(
        [Item(text, text, time=aged(100 * n)) for n, text in enumerate(["red lamp", "red door", "saw"])],
        reranker=OverlapReranker(),
        decay=Decay.half_life(30, weight=0.9),
        hybrid=Convex(0.5),
        relevance_weight=0.9,
        user_weight=0.0,
    )
    retriever.record([Event("u", "saw", "purchase", aged(1))])

    def search(**parts):
        return scores(retriever.search("red door", k=3, now=NOW, **parts))

    own = search()
    assert search(decay=Decay.half_life(30, weight=0)) == search(decay=None) != own
    assert search(relevance_weight=0) == pytest.approx(search(reranker=None)) != own
    assert search(hybrid=Convex(0)) == pytest.approx(search(hybrid=None)) != own
    assert search(user="u") == own
    assert len(search(min_score=0.0)) == 3 > len(search(min_score=0.3))
    middle = search(relevance_weight=0.5, decay=Decay.half_life(30, weight=0.2))
    assert middle not in (own, search(relevance_weight=0.5), search(decay=Decay.half_life(30, weight=0.2)))
    assert search() == own  # a search's parts are its own


@pytest.mark.parametrize("calibrated", [False, True])
def test_c19_scores_go_through_one_sigmoid_and_keep_their_spread(calibrated):
    """hindsight#1512, #1823: a second sigmoid squeezes all to 0.5, and recency is the sole factor."""
    slope, intercept = 1.0, 0.0
    reranker = Logits()
    if calibrated:
        report = reranker.calibrate(*judged(0.6, -1.2))
        slope, intercept = report.calibration.slope, report.calibration.intercept
        assert (slope, intercept) == pytest.approx((0.6, -1.2), abs=0.03)
    ages = {"5.0": 300, "3.0": 30, "-1.0": 1, "-4.0": 0}  # the better, the older
    items = [Item(logit, logit, time=aged(age)) for logit, age in ages.items()]
    decay = Decay.half_life(30, weight=0.3)
    retriever = shop(items, PlaneEncoder(), reranker=reranker, decay=decay, relevance_weight=1.0)
    hits = retriever.search("0", now=NOW)
    expected = {
        logit: expit(slope * float(logit) + intercept) * (0.7 + 0.3 * 0.5 ** (age / 30))
        for logit, age in ages.items()
    }
    assert scores(hits) == pytest.approx(expected, rel=1e-5)
    assert set(ids(hits)[:2]) == {"5.0", "3.0"}
    assert hits[0].score > 10 * hits[-1].score


def test_c20_a_score_does_not_depend_on_its_company(folder):
    """mem0#5714, ragflow#16621: min-max over the candidates: a single one is 0.0, the best of a weak batch 1.0."""
    reranker = CrossEncoderReranker(folder, device="cpu")
    texts = random_texts(30)
    together = reranker.rank("red lamp", texts)
    for row in (together[0], together[-1]):
        (alone,) = reranker.rank("red lamp", [row.text])
        assert alone.score == pytest.approx(row.score, abs=1e-5)
        assert 0.01 < alone.score < 0.99
    retriever = shop(
        [Item(str(n), str(n)) for n in range(-9, 10)], PlaneEncoder(), reranker=Logits(), relevance_weight=1.0
    )
    everything = scores(retriever.search("0", k=19))
    assert everything == pytest.approx({str(n): expit(n) for n in range(-9, 10)}, rel=1e-5)
    weak = retriever.search("0", where={"id": {"$in": ["-9", "-5"]}})
    single = retriever.search("0", where={"id": "-5"})
    assert scores(weak) == {item_id: everything[item_id] for item_id in ("-9", "-5")}
    assert scores(single) == {"-5": everything["-5"]}
    assert retriever.search("0", where={"id": "-5"}, min_score=0.5) == []


def test_c21_many_pairs_go_through_the_network_in_few_batches(folder, batches):
    """sentence-transformers#2482, #1203: "batching is not working", one query at a time on a CPU."""
    items = [Item(word, f"{word} tape glue") for word in WORDS[:10]]
    pairs = len(WORDS) * len(items)  # of seven tokens: query, three words of the item, and three others
    reranker = CrossEncoderReranker(folder, device="cpu", batch_tokens=7 * pairs)
    retriever = shop(items, reranker=reranker)
    answers = retriever.search_batch([*WORDS, *WORDS[:5]])  # queries that were asked twice are read once
    assert [mask.shape for mask in batches] == [(pairs, 7)]
    for query, hits in zip(WORDS[:3], answers[:3], strict=True):
        assert scores(hits) == pytest.approx(scores(retriever.search(query)), abs=1e-5)
    batches.clear()
    texts = [f"{first} {second} saw" for first in WORDS for second in WORDS]
    CrossEncoderReranker(folder, device="cpu", batch_tokens=210).rank("red", texts)
    assert [mask.shape for mask in batches] == [(30, 7)] * 4 + [(24, 7)]


def test_c22_batches_are_of_similar_length_in_tokens_not_in_characters(folder, batches):
    """sentence-transformers#2570, rocketride-server#2197: sorted by characters, batches are mostly padding."""
    chinese = "红色运动鞋跑步机电灯泡门窗管锯木"
    texts = []
    for n in range(16):  # twelve characters each: one token, and twelve
        texts += [f"unknown{n:05d}", (chinese[n:] + chinese[:n])[:12]]
    reranker = CrossEncoderReranker(folder, device="cpu", batch_tokens=16 * 5)
    reranker.score([("red", text) for text in texts])
    assert [mask.shape for mask in batches] == [(16, 5), *[(5, 16)] * 3, (1, 16)]
    assert all(mask.all() for mask in batches)  # no padding at all


def test_c23_truncation_is_told_once_counted_and_costs_the_end_alone(folder):
    """FlashRank#34, langchain#21812: pairs are cut without a word, and the ranks are nonsense."""
    reranker = CrossEncoderReranker(folder, device="cpu", max_length=12)
    title = "steel pipe door lamp glue saw tape wood"  # with the query and three separators twelve tokens
    long = [f"{title} {'red ' * extra}" for extra in (1, 20, 200)]
    with pytest.warns(TruncationWarning, match="3 of 4 pairs are longer than max_length, 12 tokens") as told:
        found = reranker.score([("red", text) for text in [title, *long]])
    assert len(told) == 1
    assert found == pytest.approx(np.full(4, found[0]), abs=1e-6)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        reranker.rank("blue", long)
    assert reranker.truncated == 6


def test_c23_clip_reads_the_beginning_of_what_is_too_long(clip_encoder):
    """open_clip#604: CLIP cuts at 77 tokens. Nothing warns here either: `encode_texts` says so, titles come first."""
    item = Item("1", title="red steel mug", text="lamp " * 40)  # this CLIP reads 14 words
    read = f"red steel mug {'lamp ' * 11}"
    vectors = clip_encoder.encode_texts([item.words, read, f"{read} chair", "lamp " * 40])
    np.testing.assert_allclose(vectors[[0, 2]], vectors[[1, 1]], atol=1e-6)
    assert vectors[0] @ vectors[3] < 0.999


def test_c24_mining_is_done_in_blocks_and_pads_nothing(monkeypatch):
    """sentence-transformers#3816, #3832, #3872, #3887: a matrix of all similarities, and rows of -1 where few are."""
    items = [Item(f"{first} {second}", f"{first} {second}") for first in WORDS for second in WORDS]
    retriever = shop(items)
    blocks = []

    def spy(self, queries, k, search=Retriever.search_batch):
        hits = search(self, queries, k)
        blocks.append((len(queries), max(map(len, hits))))
        return hits

    monkeypatch.setattr(Retriever, "search_batch", spy)
    queries = {str(n): f"{WORDS[n % 12]} {WORDS[n // 12 % 12]}" for n in range(130)}
    qrels = {query: {words: 1} for query, words in queries.items()}
    mined = mine_pairs(retriever, queries, qrels, negatives=3, ranks=(5, 20), random=0)
    assert blocks == [(64, 20), (64, 20), (2, 20)]  # hits of a block, never queries times items
    assert (mined.judged, mined.near) == (130, 390)
    assert not {pair for pair, grade in zip(mined.pairs, mined.grades, strict=True) if grade == 0} & {
        (words, words) for words in queries.values()
    }
    few = mine_pairs(retriever, queries, qrels, negatives=200, ranks=(0, 150), random=0)
    assert few.near == 130 * 143  # all there are but the relevant one, each once
    assert {text for _, text in few.pairs} == {item.id for item in items}
