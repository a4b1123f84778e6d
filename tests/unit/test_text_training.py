from __future__ import annotations

import math
import shutil
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

from multimodal import TextEncoder, TextFitOptions
from multimodal.losses import in_batch_loss
from multimodal.text import training
from multimodal.text.training import schedule
from multimodal.text.training_data import Tokens, TrainingPairs, _numbers, shuffled_batches, tokenize

# A rule that random weights do not know: each query has one document, and they have no word in common.
QUERIES, DOCUMENTS = ["red", "blue", "green", "mug", "lamp"], ["steel", "wood", "paper", "table", "abc"]
RULE = list(zip(QUERIES, DOCUMENTS, strict=True))
TEXTS = ["red mug", "a blue lamp of steel", "green", "wood table, paper lamp, red chair", "mug"]
FAST = {"batch_size": 5, "learning_rate": 3e-3, "options": TextFitOptions(bf16=False)}


@pytest.fixture
def folder(tiny_text_folder, tmp_path):
    """A copy, so that nobody else's model is trained."""
    return shutil.copytree(tiny_text_folder, tmp_path / "model")


@pytest.fixture
def encoder(folder):
    return TextEncoder(folder, device="cpu")


def first_places(encoder, pairs):
    """Share of the queries whose own document is the nearest of all."""
    queries, documents = (list(texts) for texts in zip(*pairs, strict=True))
    scores = encoder.encode_queries(queries) @ encoder.encode_documents(documents).T
    return np.mean(scores.argmax(axis=1) == np.arange(len(pairs)))


def slow_loss(logits, known):
    """The definition, one query and one document after the other."""
    losses = []
    for query in range(len(logits)):
        total = 0.0
        for document in range(len(logits[query])):
            if document == query or not known[query][document]:
                total += math.exp(logits[query][document])
        losses.append(-math.log(math.exp(logits[query][query]) / total))
    return sum(losses) / len(losses)


@pytest.mark.parametrize("documents", [5, 8])  # those beyond the queries' own are negatives of everybody
def test_the_loss_is_its_definition(documents):
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(5, documents)) * 3
    known = generator.random((5, documents)) < 0.3  # on the diagonal too, where it must not matter
    loss = in_batch_loss(torch.from_numpy(logits), torch.from_numpy(known)).item()
    assert loss == pytest.approx(slow_loss(logits, known), rel=1e-12)
    nothing = np.zeros_like(known)
    unmasked = in_batch_loss(torch.from_numpy(logits), torch.from_numpy(nothing)).item()
    assert unmasked == pytest.approx(slow_loss(logits, nothing), rel=1e-12)
    assert unmasked > loss + 0.01  # so a mask that is ignored is seen above


def test_masked_documents_get_no_gradient():
    logits = torch.zeros(2, 2, requires_grad=True)
    torch.autograd.backward(in_batch_loss(logits, torch.tensor([[True, True], [False, True]])))
    assert logits.grad is not None
    np.testing.assert_allclose(logits.grad, [[0, 0], [0.25, -0.25]], atol=1e-7)


def mask_of(encoder, monkeypatch, pairs):
    """What the loop passes to the loss in one batch, each row and column under its pair's position."""
    seen = []

    def spy(logits, known, loss=in_batch_loss):
        seen.append(known.numpy().copy())
        return loss(logits, known)

    def batches(lengths, size, epochs, generator):
        yield np.arange(len(lengths))

    monkeypatch.setattr(training, "in_batch_loss", spy)
    monkeypatch.setattr(training, "shuffled_batches", batches)
    encoder.fit(pairs, batch_size=len(pairs), options=TextFitOptions(bf16=False))
    (mask,) = seen
    return mask


def test_known_positives_of_the_query_and_copies_of_the_document_are_not_negatives(encoder, monkeypatch):
    pairs = [
        ("red mug", "steel"),
        ("red mug", "wood"),  # another positive of the query of row 0
        ("blue lamp", "steel"),  # a copy of the document of row 0
        ("green chair", "paper table"),
        ("Red  MUG", "paper"),  # to this tokenizer the query of row 0
    ]
    x, o = True, False
    np.testing.assert_array_equal(
        mask_of(encoder, monkeypatch, pairs),
        [[x, x, x, o, x], [x, x, x, o, x], [x, o, x, o, o], [o, o, o, x, o], [x, x, x, o, x]],
    )


def test_positives_that_are_not_in_the_batch_count_too(encoder):
    pairs = [("red", "steel"), ("red", "wood"), ("blue", "paper"), ("green", "wood")]
    data = TrainingPairs.tokenize(encoder._model, pairs, None)
    # "red" and "wood" are a pair of their own, though not a row of this batch.
    np.testing.assert_array_equal(data.known_positives(np.array([0, 3])), [[True, True], [False, True]])
    np.testing.assert_array_equal(data.known_positives(np.array([2, 3])), [[True, False], [False, True]])


def test_planted_pairs_rank_first_and_shuffled_ones_do_not(folder):
    encoder, control = TextEncoder(folder, device="cpu"), TextEncoder(folder, device="cpu")
    assert first_places(encoder, RULE) < 0.5
    report = encoder.fit(RULE, epochs=60, **FAST)
    assert first_places(encoder, RULE) == 1
    assert (
        np.mean(report.losses[:5]) > 1.4 > 1.2 > np.mean(report.losses[-20:])
    )  # dropout of a tiny model is loud
    assert (report.steps, report.examples, report.out_of_time) == (60, 300, False)
    shuffled = list(zip(QUERIES, DOCUMENTS[1:] + DOCUMENTS[:1], strict=True))
    control.fit(shuffled, epochs=60, **FAST)
    assert first_places(control, RULE) < 0.5  # nobody's own is learned


def test_one_seed_gives_one_model_and_leaves_the_random_state_alone(folder):
    def fitted(seed, global_seed):
        with torch.random.fork_rng():
            torch.manual_seed(global_seed)
            state = torch.random.get_rng_state()
            encoder = TextEncoder(folder, device="cpu")
            options = TextFitOptions(seed=seed, bf16=False)
            encoder.fit(RULE, epochs=2, batch_size=4, learning_rate=3e-3, options=options)
            assert torch.equal(torch.random.get_rng_state(), state)
        return {name: tensor.numpy() for name, tensor in encoder._model.state_dict().items()}

    one, same, other = fitted(0, 0), fitted(0, 1), fitted(1, 0)
    for name, tensor in one.items():
        np.testing.assert_array_equal(tensor, same[name])
    assert any(not np.array_equal(tensor, other[name]) for name, tensor in one.items())


def test_training_sees_the_vectors_that_encoding_gives(encoder):
    """Prompts, pooling and padding of either side, whatever batch a text is in."""
    for side, encode in (("query", encoder.encode_queries), ("document", encoder.encode_documents)):
        tokens = tokenize(encoder._model, TEXTS, side, None)
        with torch.inference_mode():
            vectors = encoder._model(tokens.batch(np.arange(len(TEXTS)), "cpu"), task=side)[
                "sentence_embedding"
            ]
        np.testing.assert_allclose(torch.nn.functional.normalize(vectors), encode(TEXTS), atol=1e-6)
    assert np.abs(encoder.encode_queries(TEXTS) - encoder.encode_documents(TEXTS)).max() > 0.01


def test_max_length_cuts_and_batches_are_no_longer_than_they_must_be(encoder):
    tokens = tokenize(encoder._model, ["mug", "red mug lamp chair", "red " * 30], "document", 8)
    # [CLS] passage : mug [SEP] are 5 tokens.
    assert [len(row) for row in tokens.columns["input_ids"]] == [5, 8, 8]
    assert tokens.batch(np.array([0]), "cpu")["input_ids"].shape == (1, 5)


def test_every_row_comes_once_an_epoch_in_batches_of_similar_length():
    lengths = np.random.default_rng(1).integers(3, 40, 1000)
    batches = list(shuffled_batches(lengths, 8, 2, np.random.default_rng(0)))
    assert len(batches) == 250
    for epoch in (batches[:125], batches[125:]):
        assert sorted(np.concatenate(epoch).tolist()) == list(range(1000))
    padded = sum(len(batch) * lengths[batch].max() for batch in batches)
    assert padded < 1.1 * 2 * lengths.sum()  # in random batches it is about 1.7 times
    firsts = [lengths[batch].max() for batch in batches[:32]]
    assert firsts != sorted(firsts)  # short ones do not all come first


def test_an_interrupted_fit_leaves_the_weights_of_the_last_step(folder, monkeypatch):
    whole, interrupted = TextEncoder(folder, device="cpu"), TextEncoder(folder, device="cpu")

    def dying(logits, known, calls=[], loss=in_batch_loss):  # noqa: B006 - counts
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return loss(logits, known)

    monkeypatch.setattr(training, "in_batch_loss", dying)
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(RULE, epochs=10, **FAST)
    monkeypatch.undo()
    assert not interrupted._model.training
    monkeypatch.setattr(
        training,
        "shuffled_batches",
        lambda lengths, size, epochs, generator, real=shuffled_batches: list(
            real(lengths, size, epochs, generator)
        )[:3],
    )
    whole.fit(RULE, epochs=10, **FAST)
    np.testing.assert_array_equal(interrupted.encode_queries(QUERIES), whole.encode_queries(QUERIES))
    assert np.abs(whole.encode_queries(QUERIES) - TextEncoder(folder).encode_queries(QUERIES)).max() > 0.01


def test_time_ends_the_training_and_the_learning_rate_follows_it(encoder, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    rates = []

    def step(self, *given, real=torch.optim.AdamW.step, **named):
        rates.append(self.param_groups[0]["lr"])
        clock.now += 1.0
        return real(self, *given, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    report = training.train(
        encoder._model,
        RULE,
        TextFitOptions(epochs=1000, batch_size=5, learning_rate=1e-3, max_seconds=10.0, bf16=False),
        clock=lambda: clock.now,
    )
    assert (report.steps, report.seconds, report.out_of_time) == (10, 10.0, True)
    assert rates == pytest.approx([1e-3 * schedule(max(0.0005, n / 10)) for n in range(10)])
    assert max(rates) == rates[1] == 1e-3  # the first tenth of the time is over
    assert [schedule(done) for done in (0, 0.05, 0.1, 0.55, 1, 2)] == pytest.approx([0, 0.5, 1, 0.5, 0, 0])


def test_a_loss_that_explodes_is_an_error(encoder):
    with pytest.raises(FloatingPointError, match="lower learning_rate"):
        encoder.fit(RULE, epochs=50, batch_size=5, learning_rate=1e38, options=TextFitOptions(bf16=False))
    assert not encoder._model.training


def test_save_and_open_again_give_equal_vectors(encoder, tmp_path):
    source = encoder.name
    assert encoder.describe()["model"] == source
    encoder.fit(RULE, epochs=3, **FAST)
    with pytest.raises(RuntimeError, match=r"call save\(folder\) first"):
        encoder.describe()  # the name stands for other weights
    saved = tmp_path / "deep" / "saved"
    encoder.save(saved)
    assert list(saved.parent.iterdir()) == [saved]  # nothing half-written beside it
    assert list(saved.rglob("*.safetensors"))
    assert not list(saved.rglob("*.bin"))
    again = TextEncoder(encoder.describe()["model"], device="cpu")
    for side in ("encode_queries", "encode_documents"):
        np.testing.assert_array_equal(getattr(again, side)(QUERIES), getattr(encoder, side)(QUERIES))
    (saved / "left over.txt").write_text("from the save before")
    again.fit(RULE, epochs=1, **FAST)
    again.save(saved)  # as a whole
    assert not (saved / "left over.txt").exists()
    np.testing.assert_array_equal(
        TextEncoder(saved, device="cpu").encode_queries(QUERIES), again.encode_queries(QUERIES)
    )


def test_a_folder_of_something_else_is_not_replaced(encoder, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    with pytest.raises(ValueError, match="choose another folder"):
        encoder.save(tmp_path / "mine")
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_static_model_is_refused_by_name(tmp_path):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import StaticEmbedding
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel

    tokenizer = Tokenizer(WordLevel({"[UNK]": 0, "red": 1}, unk_token="[UNK]"))
    model = SentenceTransformer(modules=[StaticEmbedding(tokenizer, embedding_dim=8)], device="cpu")
    model.save_pretrained(str(tmp_path))
    with pytest.raises(ValueError, match="StaticEmbedding cannot be fitted"):
        TextEncoder(tmp_path, device="cpu").fit(RULE)


@pytest.mark.parametrize(
    ("message", "arguments"),
    [
        ("pairs must hold at least one pair of query and document, got none", {"pairs": []}),
        ("pairs.1. must be a query and a document, two texts, got 'ab'", {"pairs": [("a", "b"), "ab"]}),
        ("pairs.0. must be a query and a document, two texts, got \\('a', 1\\)", {"pairs": [("a", 1)]}),
        ("epochs must be at least 1, got 0", {"epochs": 0}),
        ("batch_size must be at least 1, got 0", {"batch_size": 0}),
        ("learning_rate must be above 0, got 0", {"learning_rate": 0}),
    ],
)
def test_an_argument_that_cannot_be_used_is_named(text_encoder, message, arguments):
    with pytest.raises(ValueError, match=f"^{message}$"):
        text_encoder.fit(**({"pairs": RULE} | arguments))
    assert text_encoder.describe()  # nothing was fitted


@pytest.mark.parametrize(
    ("message", "options"),
    [
        ("temperature must be above 0, got 0", {"temperature": 0}),
        ("max_seconds must be above 0, got 0", {"max_seconds": 0}),
        ("max_length must be at least 3, got 2", {"max_length": 2}),
        ("learning_rate must be a finite number, got nan", {"learning_rate": math.nan}),
    ],
)
def test_an_option_that_cannot_be_used_is_named(message, options):
    with pytest.raises(ValueError, match=f"^{message}$"):
        TextFitOptions(**options)


def test_more_tokens_than_the_model_takes_are_refused(text_encoder):
    with pytest.raises(ValueError, match=r"^max_length must be at most 64, the limit of .*, got 65$"):
        text_encoder.fit(RULE, options=TextFitOptions(max_length=65))


def test_an_argument_of_fit_overrides_the_options(encoder):
    options = TextFitOptions(epochs=9, batch_size=5, bf16=False)
    assert encoder.fit(RULE, epochs=2, options=options).steps == 2
    assert encoder.fit(RULE, batch_size=1, options=replace(options, epochs=1)).steps == 5


@pytest.mark.parametrize("temperature", [0.05, 1.0])
def test_the_temperature_divides_cosines_once_and_nothing_is_subtracted(
    tiny_text_folder, tmp_path, temperature
):
    """torch-rechub: log Q is subtracted before dividing by the temperature, so it counts 1/T times.

    No training here has a log Q that could be scaled: what keeps a popular document from being everybody's negative
    is a mask, and the rest is the plain softmax.
    """
    folder = shutil.copytree(tiny_text_folder, tmp_path / "model")
    for path in folder.rglob("config.json"):  # no dropout, so that the loss of the first step is known
        path.write_text(path.read_text().replace('dropout_prob": 0.1', 'dropout_prob": 0.0'))
    encoder = TextEncoder(folder, device="cpu")
    queries, documents = ["red", "blue", "green", "mug"], ["steel", "steel", "wood", "paper table"]
    logits = encoder.encode_queries(queries) @ encoder.encode_documents(documents).T / temperature
    logits[0, 1] = logits[1, 0] = -np.inf  # steel answers both
    pairs = list(zip(queries, documents, strict=True))
    report = encoder.fit(
        pairs, batch_size=4, options=TextFitOptions(temperature=temperature, bf16=False, progress=False)
    )
    assert report.losses == pytest.approx([np.mean(logsumexp(logits, axis=1) - np.diag(logits))], rel=1e-4)


@pytest.mark.parametrize("texts", [2**16 + 3, 2**20 + 3])
def test_known_positives_are_distinguished_among_many_texts(texts):
    """Numbers of pairs that overflow or overlap would make strangers known, and known ones strangers."""
    query = np.array([0, 1, 1, texts - 1, texts - 1])
    document = np.array([2**16, 0, texts - 1, texts - 2, 5])
    known = set(zip(query.tolist(), document.tolist(), strict=True))
    tokens = Tokens({}, {}, "right", {})
    data = TrainingPairs(tokens, tokens, query, document, np.unique(_numbers(query, document)))
    expected = [[(q, d) in known for d in document.tolist()] for q in query.tolist()]
    np.testing.assert_array_equal(data.known_positives(np.arange(5)), expected)
