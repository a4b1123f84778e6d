"""A store knows its models by their content: a copy is the same model, one that was trained again is another."""

from __future__ import annotations

import json
import shutil
import threading
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from fakes import HashEncoder
from PIL import Image

from multimodal import ClipEncoder, TextEncoder, WeightedConcat
from multimodal.clip.encoder import describe_image_model
from multimodal.errors import StaleModelError
from twotower import DualEncoder, IndexPolicy, Item, Retriever
from twotower.__main__ import main
from twotower.corpus import reindexing
from twotower.errors import EncoderError, ItemError, StoreError

NOW = datetime(2026, 6, 1, tzinfo=UTC)
WORDS = ["red", "blue", "green", "mug", "lamp", "chair", "steel", "wood", "paper", "table"]
ITEMS = [Item(f"{one}-{other}", f"{one} {other}") for one in WORDS for other in WORDS if one != other]


@pytest.fixture
def model(tmp_path, tiny_text_folder):
    return shutil.copytree(tiny_text_folder, tmp_path / "model")


@pytest.fixture
def store(tmp_path, model):
    with Retriever.open(
        tmp_path / "store", encoder=encoder(model), index=IndexPolicy(exact_up_to=50)
    ) as retriever:
        retriever.upsert(ITEMS)
    return tmp_path / "store"


def encoder(folder):
    return DualEncoder(TextEncoder(folder, device="cpu"))


def retrain(folder):
    """The same model with other weights, in the same files of the same size."""
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "model.safetensors"
    generator = torch.Generator().manual_seed(1)
    weights = {
        name: tensor + 0.5 * torch.randn(tensor.shape, generator=generator)
        for name, tensor in load_file(path).items()
    }
    save_file(weights, path, {"format": "pt"})


def unit_rows(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def wrong_scores(retriever, items=None):
    """The queries whose best score is not what the encoder gives: none, if queries and vectors are of one model."""
    items = list(retriever.items()) if items is None else items
    queries = retriever.encoder.encode_queries([item.title for item in items])
    vectors = unit_rows(retriever.encoder.encode_items(items))
    best = (unit_rows(queries) @ vectors.T).max(axis=1)
    hits = retriever.search_batch([item.title for item in items], k=1, now=NOW, hybrid=None)
    return [
        item.id
        for item, found, score in zip(items, hits, best, strict=True)
        if abs(found[0].score - score) > 0.005
    ]


def run(capsys, *arguments):
    code = main([str(argument) for argument in arguments])
    said = capsys.readouterr()
    return code, said.out.strip(), said.err.strip()


def test_a_retrained_model_is_noticed_in_one_sentence_that_says_what_to_do(store, model, capsys):
    retrain(model)
    for options in ({}, {"read_only": True}):
        with pytest.raises(StoreError, match=r"models.*changed.*twotower reindex.*reindex=True"):
            Retriever.open(store, **options)
    with pytest.raises(StoreError, match=r"another encoder.*twotower reindex"):
        Retriever.open(store, encoder=encoder(model))
    code, said, _ = run(capsys, "verify", "--store", store)
    assert (code, said.count("\n")) == (1, 0)
    assert "the text model" in said
    assert "twotower reindex" in said
    code, _, error = run(capsys, "search", "red mug", "--store", store)
    assert code == 1
    assert "twotower reindex" in error
    assert len(error.splitlines()[-1]) < 500


def test_a_moved_model_is_the_same_and_its_new_place_is_kept(store, model, tmp_path, capsys):
    model.rename(tmp_path / "elsewhere")
    with pytest.raises(StoreError, match=r"twotower reindex .* --text-model"):
        Retriever.open(store)
    with Retriever.open(store, encoder=encoder(tmp_path / "elsewhere"), read_only=True) as retriever:
        assert wrong_scores(retriever) == []
    with pytest.raises(StoreError, match="cannot be loaded"):
        Retriever.open(store)  # a reader keeps nothing
    Retriever.open(store, encoder=encoder(tmp_path / "elsewhere")).close()
    with Retriever.open(store) as retriever:
        assert wrong_scores(retriever) == []
    (tmp_path / "elsewhere").rename(model)
    code, said, _ = run(capsys, "reindex", "--store", store, "--text-model", model)
    assert (code, said) == (0, "the models have not changed since the store was created: nothing to encode")
    with Retriever.open(store) as retriever:
        assert wrong_scores(retriever) == []


def test_what_says_nothing_about_vectors_does_not_change_a_model(model, tmp_path):
    content = TextEncoder(model, device="cpu").describe()["content"]
    (model / "README.md").write_text("a model")
    (model / ".DS_Store").write_bytes(b"x")
    (model / "trainer_state.json").write_text("{}")
    (model / "config.json").touch()
    TextEncoder(model, device="cpu").save(tmp_path / "saved")
    for folder in (model, tmp_path / "saved"):
        assert TextEncoder(folder, device="cpu").describe()["content"] == content


@pytest.mark.parametrize("change", ["weights", "vocabulary", "prompts"])
def test_what_changes_vectors_changes_the_model(model, change):
    content = TextEncoder(model, device="cpu").describe()["content"]
    if change == "weights":
        retrain(model)
    else:
        path = (
            model / {"vocabulary": "tokenizer.json", "prompts": "config_sentence_transformers.json"}[change]
        )
        before, after = {"vocabulary": ('"mug"', '"mog"'), "prompts": ("passage: ", "query: ")}[change]
        path.write_text(path.read_text().replace(before, after))
    assert TextEncoder(model, device="cpu").describe()["content"] != content


def edit(path, **changes):
    values = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps({**values, **changes}))


SETTINGS = {
    "pooling": ("1_Pooling/config.json", {"pooling_mode": "cls"}),
    "pooling without the prompt": ("1_Pooling/config.json", {"include_prompt": False}),
    "length": ("tokenizer_config.json", {"model_max_length": 8}),
    "length of the module": ("sentence_bert_config.json", {"max_seq_length": 8}),
    "case": ("sentence_bert_config.json", {"do_lower_case": True}),
    "default prompt": ("config_sentence_transformers.json", {"default_prompt_name": "query"}),
    "activation": ("config.json", {"hidden_act": "relu"}),
    "heads": ("config.json", {"num_attention_heads": 4}),
}


@pytest.mark.parametrize("setting", SETTINGS)
def test_a_setting_that_changes_vectors_is_part_of_a_model(store, model, tmp_path, setting):
    copied = shutil.copytree(model, tmp_path / "copied")
    Retriever.open(store, encoder=encoder(copied)).close()
    name, changes = SETTINGS[setting]
    edit(copied / name, **changes)
    with pytest.raises(StoreError, match="twotower reindex"):
        Retriever.open(store)
    with pytest.raises(StoreError, match="another encoder"):
        Retriever.open(store, encoder=encoder(copied))
    Retriever.open(store, encoder=encoder(model)).close()


def test_a_dense_layer_is_part_of_a_model(tmp_path, tiny_text_folder):
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Dense

    network = SentenceTransformer(str(tiny_text_folder), device="cpu")
    network.add_module("2", Dense(32, 8))
    network.save_pretrained(str(tmp_path / "dense"))
    content = TextEncoder(tmp_path / "dense", device="cpu").describe()["content"]
    assert content != TextEncoder(tiny_text_folder, device="cpu").describe()["content"]
    edit(
        tmp_path / "dense" / "2_Dense" / "config.json", activation_function="torch.nn.modules.linear.Identity"
    )
    assert TextEncoder(tmp_path / "dense", device="cpu").describe()["content"] != content


def test_a_model_in_the_form_of_an_older_release_is_the_same(tmp_path, tiny_text_folder):
    """As sentence-transformers 2 wrote it; what it is does not depend on who saved it last."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.base.modules import Normalize

    model = tmp_path / "model"
    network = SentenceTransformer(str(tiny_text_folder), device="cpu")
    network.add_module("2", Normalize())
    network.save_pretrained(str(model))
    content = TextEncoder(model, device="cpu").describe()["content"]
    (model / "1_Pooling" / "config.json").write_text(
        json.dumps(
            {
                "word_embedding_dimension": 32,
                "pooling_mode_cls_token": False,
                "pooling_mode_mean_tokens": True,
                "pooling_mode_max_tokens": False,
                "pooling_mode_mean_sqrt_len_tokens": False,
            }
        )
    )
    (model / "2_Normalize" / "config.json").unlink(missing_ok=True)  # it had none then
    modules = json.loads((model / "modules.json").read_text())
    for module in modules:
        module["type"] = f"sentence_transformers.models.{module['type'].rpartition('.')[2]}"
    (model / "modules.json").write_text(json.dumps(modules))
    (model / "sentence_bert_config.json").write_text('{"max_seq_length": 64, "do_lower_case": false}')
    edit(model / "tokenizer_config.json", model_max_length=512)
    edit(
        model / "config.json",
        transformers_version="4.8.2",
        _name_or_path="x",
        use_cache=True,
        torch_dtype="float32",
    )
    old = TextEncoder(model, device="cpu")
    assert old.describe()["content"] == content
    old.save(tmp_path / "saved")
    assert TextEncoder(tmp_path / "saved", device="cpu").describe()["content"] == content


def test_weights_by_their_tag_are_known_by_content(tmp_path, monkeypatch):
    """A store that was made with a tag opens with the file of the same weights, and says if they changed."""
    import open_clip
    import torch
    from safetensors.torch import save

    cache = tmp_path / "cache" / "models--some--clip"
    file = cache / "snapshots" / "abc" / "open_clip_model.safetensors"
    for path, content in {cache / "refs" / "main": b"abc", file: save({"w": torch.ones(2)})}.items():
        path.parent.mkdir(parents=True)
        path.write_bytes(content)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(open_clip, "get_pretrained_cfg", lambda *_: {"hf_hub": "some/clip/"})
    by_tag = describe_image_model("ViT-B-32", "laion2b_s34b_b79k")
    copied = shutil.copy(file, tmp_path / "weights.safetensors")
    assert by_tag["content"] == describe_image_model("ViT-B-32", copied)["content"]
    assert by_tag["content"] != describe_image_model("ViT-B-16", copied)["content"]
    Path(copied).write_bytes(save({"w": torch.zeros(2)}))
    assert by_tag["content"] != describe_image_model("ViT-B-32", copied)["content"]


def test_an_encoder_that_is_trained_while_its_vectors_are_searched_is_refused(tmp_path, model):
    text = TextEncoder(model, device="cpu")
    with Retriever.open(tmp_path / "s", encoder=DualEncoder(text)) as retriever:
        text.fit([("red mug", "red mug")] * 2)  # nothing is encoded yet
        text.save(tmp_path / "trained")
    with Retriever.open(tmp_path / "s", encoder=DualEncoder(text), reindex=True) as retriever:
        twin = retriever.using(decay=None)
        retriever.upsert(ITEMS)
        assert twin.search("red mug", k=1)
        text.fit([("red mug", "blue lamp")] * 2)
        text.save(tmp_path / "again")
        for call in (
            lambda: retriever.search("red mug"),
            lambda: twin.search_batch(["red mug"]),
            lambda: retriever.upsert([Item("new", "red mug")]),
            lambda: retriever.update({ITEMS[0].id: {"brand": "red"}}),
            lambda: retriever.save(tmp_path / "copy"),
        ):
            with pytest.raises(EncoderError, match=r"trained after items were encoded.*reindex=True"):
                call()
        assert len(retriever.similar(ITEMS[0].id, k=3)) == 3  # by vectors of one model
    with pytest.raises(StoreError, match="another encoder"):
        Retriever.open(tmp_path / "s", encoder=DualEncoder(text))
    with Retriever.open(tmp_path / "s", encoder=DualEncoder(text), reindex=True) as retriever:
        assert wrong_scores(retriever) == []


def test_a_model_that_is_replaced_while_it_is_loaded_has_no_content(model):
    text = TextEncoder(model, device="cpu")
    retrain(model)
    with pytest.raises(StaleModelError, match="load it again"):
        text.describe()


def test_files_are_hashed_once_while_they_stay(model, monkeypatch):
    from multimodal import model_files

    model_files._parts.cache_clear()
    texts = [TextEncoder(model, device="cpu") for _ in range(2)]
    first = texts[0].describe()
    monkeypatch.setattr(model_files, "_range", lambda *_: 1 / 0)
    assert texts[1].describe() == first


@pytest.mark.parametrize("weights", ["model_weights.pt", "weights.safetensors"])
def test_weights_of_a_known_architecture_are_known_by_content(tmp_path, weights):
    from multimodal.model_files import ModelFiles

    (tmp_path / "a").mkdir()
    (tmp_path / "a" / weights).write_bytes(b"weights")
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    digests = {ModelFiles(tmp_path / folder / weights, "ViT-B-32").digest() for folder in "ab"}
    assert len(digests) == 1
    assert ModelFiles(tmp_path / "a" / weights, "ViT-B-16").digest() not in digests
    (tmp_path / "b" / weights).write_bytes(b"WEIGHTS")
    assert ModelFiles(tmp_path / "b" / weights, "ViT-B-32").digest() not in digests


def test_an_image_model_is_known_by_content_too(tmp_path, tiny_clip_folder, text_encoder):
    clip = shutil.copytree(tiny_clip_folder, tmp_path / "clip")

    def both(folder):
        return DualEncoder(text_encoder, ClipEncoder(f"local-dir:{folder}", device="cpu"), WeightedConcat())

    Retriever.open(tmp_path / "store", encoder=both(clip)).close()
    clip = clip.rename(tmp_path / "elsewhere")
    Retriever.open(tmp_path / "store", encoder=both(clip)).close()
    Retriever.open(tmp_path / "store").close()
    path = clip / "open_clip_config.json"
    path.write_text(path.read_text().replace("0.25", "0.5"))
    with pytest.raises(StoreError, match="reindex"):
        Retriever.open(tmp_path / "store")


def test_reindex_replaces_all_vectors_and_keeps_everything_else(store, model):
    with Retriever.open(store) as retriever:
        retriever.delete([ITEMS[0].id])
        retriever.upsert(ITEMS[:1])
        before = list(retriever.items())
    retrain(model)
    with Retriever.open(store, reindex=True) as retriever:
        assert list(retriever.items()) == before
        assert wrong_scores(retriever) == []
        assert retriever.maintenance.verify() == []
        retriever.upsert([Item("new", "abc")])
        retriever.delete(["new"])
    with Retriever.open(store, read_only=True) as retriever:
        assert wrong_scores(retriever) == []
        assert retriever.maintenance.verify() == []


def test_the_command_reindexes_with_another_model(store, model, tmp_path, capsys):
    other = shutil.copytree(model, tmp_path / "other")
    retrain(other)
    code, said, _ = run(capsys, "reindex", "--store", store, "--text-model", other)
    assert (code, said) == (0, "90 items encoded again")
    assert run(capsys, "verify", "--store", store)[:2] == (0, "nothing is wrong")
    shutil.rmtree(model)
    with Retriever.open(store) as retriever:
        assert wrong_scores(retriever) == []
        assert retriever.encoder.describe()["text"]["model"] == str(other)


class Describing(HashEncoder):
    """An encoder of the user's own that says what it is."""

    def __init__(self, dim, version, place="here"):
        super().__init__(dim)
        self.version, self.place = version, place

    def describe(self):
        return {"content": [self.version, self.dim], "place": (self.place,)}


def test_an_encoder_of_your_own_is_known_by_the_content_it_describes(tmp_path):
    with Retriever.open(tmp_path / "s", encoder=Describing(16, 1)) as retriever:
        retriever.upsert(ITEMS)
    Retriever.open(tmp_path / "s", encoder=Describing(16, 1, "there")).close()
    with pytest.raises(StoreError, match="another encoder"):
        Retriever.open(tmp_path / "s", encoder=Describing(16, 2))
    with Retriever.open(tmp_path / "s", encoder=Describing(24, 2), reindex=True) as retriever:
        assert retriever.maintenance.stats().dim == 24
        assert wrong_scores(retriever) == []
    Retriever.open(tmp_path / "s", encoder=Describing(24, 2)).close()


def test_an_encoder_that_does_not_describe_itself_is_reindexed_when_asked(tmp_path):
    with Retriever.open(tmp_path / "s", encoder=HashEncoder(16)) as retriever:
        retriever.upsert(ITEMS)
    with Retriever.open(tmp_path / "s", encoder=HashEncoder(24), reindex=True) as retriever:
        assert wrong_scores(retriever) == []
    with pytest.raises(StoreError, match="another encoder"):
        Retriever.open(tmp_path / "s", encoder=HashEncoder(16))


class Counting(Describing):
    """Counts what it encodes, and may be stopped by Ctrl-C."""

    def __init__(self, *given, stop_after=None, pause=None):
        super().__init__(*given)
        self.encoded, self.stop_after, self.pause = [], stop_after, pause

    def encode_items(self, items):
        if self.stop_after is not None and len(self.encoded) >= self.stop_after:
            raise KeyboardInterrupt
        if self.pause is not None:
            self.pause()
        self.encoded += [item.id for item in items]
        return super().encode_items(items)


def test_an_interrupted_reindex_goes_on_where_it_stopped(tmp_path, monkeypatch):
    monkeypatch.setattr(reindexing, "ITEMS_PER_WRITE", 10)
    with Retriever.open(tmp_path / "s", encoder=Describing(16, 1)) as retriever:
        retriever.upsert(ITEMS)
    first = Counting(16, 2, stop_after=40)
    with pytest.raises(KeyboardInterrupt):
        Retriever.open(tmp_path / "s", encoder=first, reindex=True)
    with Retriever.open(tmp_path / "s", encoder=Describing(16, 1)) as retriever:  # as it was
        assert wrong_scores(retriever) == []
        retriever.upsert([Item(ITEMS[0].id, ITEMS[0].title, "changed meanwhile")])
        retriever.delete([ITEMS[1].id])
    second = Counting(16, 2)
    with Retriever.open(tmp_path / "s", encoder=second, reindex=True) as retriever:
        assert sorted(second.encoded) == sorted(
            {item.id for item in ITEMS} - set(first.encoded) | {ITEMS[0].id}
        )
        assert retriever.maintenance.verify() == []
        vectors = {item.id: retriever._corpus.vector(item.id) for item in retriever.items()}
    third = Counting(16, 3, stop_after=40)
    with pytest.raises(KeyboardInterrupt):
        Retriever.open(tmp_path / "s", encoder=third, reindex=True)
    other = Counting(16, 4)
    Retriever.open(tmp_path / "s", encoder=other, reindex=True).close()
    assert len(other.encoded) == len(vectors) == len(ITEMS) - 1  # what another encoder had begun is of no use


def test_readers_go_on_with_the_old_vectors_until_they_open_the_store_again(tmp_path, monkeypatch):
    monkeypatch.setattr(reindexing, "ITEMS_PER_WRITE", 10)
    with Retriever.open(tmp_path / "s", encoder=Describing(16, 1)) as retriever:
        retriever.upsert(ITEMS)
    reader = Retriever.open(tmp_path / "s", encoder=Describing(16, 1), read_only=True)
    answers = []

    def search():
        thread = threading.Thread(target=lambda: answers.append(wrong_scores(reader)))
        thread.start()
        thread.join()
        reader.maintenance.refresh()
        late = Retriever.open(tmp_path / "s", encoder=Describing(16, 1), read_only=True)
        answers.append(wrong_scores(late))
        late.close()

    Retriever.open(tmp_path / "s", encoder=Counting(16, 2, pause=search), reindex=True).close()
    assert answers == [[]] * len(answers)
    assert len(answers) == 18
    assert wrong_scores(reader, ITEMS) == []
    with pytest.raises(StoreError, match="open it again"):
        reader.maintenance.refresh()
    assert wrong_scores(reader, ITEMS) == []
    reader.close()


def test_an_item_that_cannot_be_encoded_again_stops_the_replacement_alone(
    tmp_path, text_encoder, clip_encoder
):
    photos = [tmp_path / f"{number}.png" for number in range(3)]
    for photo in photos:
        Image.new("RGB", (40, 40), "red").save(photo)
    items = [Item(f"i{number}", "mug", image=photo) for number, photo in enumerate(photos)]
    with Retriever.open(
        tmp_path / "s", encoder=DualEncoder(text_encoder, clip_encoder, WeightedConcat(0.5, 0.5))
    ) as retriever:
        retriever.upsert(items)
    photos[1].unlink()
    new = DualEncoder(text_encoder, clip_encoder, WeightedConcat(0.1, 0.9))
    with pytest.raises(
        ItemError, match=r"1 items cannot be encoded again, first 'i1' .*does not exist"
    ) as caught:
        Retriever.open(tmp_path / "s", encoder=new, reindex=True)
    assert caught.value.reasons.keys() == {"i1"}
    Image.new("RGB", (40, 40), "blue").save(photos[1])
    with Retriever.open(tmp_path / "s", encoder=new, reindex=True) as retriever:
        assert retriever.changed(items) == []  # the new photo is what i1 is made from
        assert retriever.maintenance.verify() == []


def test_reindex_writes(tmp_path):
    with pytest.raises(ValueError, match="read_only"):
        Retriever.open(tmp_path / "s", encoder=HashEncoder(), read_only=True, reindex=True)
    assert not Path(tmp_path / "s").exists()
    with Retriever.open(tmp_path / "s", encoder=HashEncoder(), reindex=True) as retriever:  # a new store
        retriever.upsert(ITEMS)
        assert np.isclose(retriever.search(ITEMS[3].title, k=1, now=NOW, hybrid=None)[0].score, 1)
