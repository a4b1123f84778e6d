"""What the JSON files of a model hold that decides a vector; the rest differs between releases of their libraries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

Values: TypeAlias = Mapping[str, Any]

TOKENIZER = ("added_tokens", "normalizer", "pre_tokenizer", "post_processor", "model")
TOKENIZING = ("do_lower_case", "strip_accents", "tokenize_chinese_chars")
PROMPTS = ("prompts", "default_prompt_name", "truncate_dim")
LIMIT = "max_seq_length"
# Of a module's config: where it came from, how it is trained and stored, and what classifiers and generators use.
UNREAD = {
    *("module_input_name", "module_output_name"),
    *("_name_or_path", "architectures", "transformers_version", "dtype", "torch_dtype", "use_cache"),
    *("tie_word_embeddings", "initializer_range", "gradient_checkpointing", "bos_token_id", "eos_token_id"),
    *(
        "id2label",
        "label2id",
        "problem_type",
        "word_embedding_dimension",
        "embedding_dimension",
        "__version__",
    ),
}
# The names that sentence-transformers gave to the modes of pooling before it had one name for all of them.
POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def settings_of(path: Path, content: Any) -> dict[str, Any]:
    """The settings of one file that decide a vector, by name; those at their default may be left out.

    Args:
        path: of the file; its name says what it is.
        content: of the file, parsed.

    Raises:
        TypeError: the content has another form.
    """
    found = READERS[path.name](content)
    return {name: value for name, value in found.items() if value not in (None, False, "", {}, [])}


def _only(*names: str) -> Callable[[Values], Values]:
    return lambda values: {name: _filled(values[name]) for name in names if name in values}


def _filled(value: Any) -> Any:
    """A mapping without its empty texts: a prompt "" is no prompt."""
    return {name: part for name, part in value.items() if part != ""} if isinstance(value, dict) else value


def _tokenizing(values: Values) -> Values:
    # The limit of a tokenizer counts where the module has none of its own, which takes its place.
    return {**_only(*TOKENIZING)(values), LIMIT: values.get("model_max_length")}


def _transformer(values: Values) -> Values:
    return {"lower_cased": values.get("do_lower_case"), LIMIT: values.get(LIMIT)}


def _modules(values: Any) -> Values:
    return {"modules": [_class_name(module["type"]) for module in values]}


def _module(values: Values) -> Values:
    """The config of a transformer, a pooling, a dense layer or another module."""
    found = {name: value for name, value in values.items() if name not in UNREAD and "dropout" not in name}
    modes = [mode for name, mode in POOLING.items() if found.pop(name, False)]
    if modes:
        found.setdefault("pooling_mode", modes[0] if len(modes) == 1 else modes)
    if found.pop("include_prompt", True) is False:
        found["pooling_without_prompt"] = True
    if "activation_function" in found:
        found["activation_function"] = _class_name(found["activation_function"])
    return found


def _class_name(name: str) -> str:
    """The name of a class without its module, which differs between releases."""
    return name.rpartition(".")[2]


READERS: dict[str, Callable[[Any], Values]] = {
    "tokenizer.json": _only(*TOKENIZER),
    "tokenizer_config.json": _tokenizing,
    "sentence_bert_config.json": _transformer,
    "config_sentence_transformers.json": _only(*PROMPTS),
    "modules.json": _modules,
    "config.json": _module,
    "open_clip_config.json": _only("model_cfg", "preprocess_cfg"),
}
"""By the name of a file; read in this order, the later in place of the earlier."""
