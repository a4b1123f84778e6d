"""Exports a cross-encoder to ONNX files, which are kept beside its weights with their hash."""

from __future__ import annotations

import copy
import json
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from rerank.errors import ModelError
from rerank.file_hashes import sha256

if TYPE_CHECKING:
    from sentence_transformers import CrossEncoder
    from torch import Tensor

FOLDER = "onnx"
FILES = {"onnx": "model.onnx", "onnx-int8": "model-int8.onnx", "openvino": "model.onnx"}
MANIFEST = "manifest.json"


def export(network: CrossEncoder, folder: Path) -> None:
    """Write the network in float32 and in 8-bit integers, and a manifest with the hash of its weights.

    The integers are signed, with one scale for each output channel of a matrix; a single scale for a whole matrix
    turned out to be no faster than float32. Word embeddings stay in float32.

    Args:
        network: with a sequence-classification head of transformers.
        folder: a saved model; the files go into its subfolder "onnx".

    Raises:
        ModelError: a package that exporting needs is not installed, the score comes from a head of another kind,
            or torch or ONNX Runtime cannot export this model.
    """
    try:
        import onnx  # noqa: F401  # quantization needs it
        import onnxruntime.quantization  # noqa: F401
        import onnxscript  # noqa: F401  # torch's exporter needs it
    except ImportError as error:
        raise ModelError(
            f"exporting needs {error.name}: run `pip install 'twotower[onnx]'`, or use the torch back end"
        ) from error
    if getattr(network[0], "transformer_task", None) != "sequence-classification":
        raise ModelError("the score comes from a head outside the transformers model: use the torch back end")
    target = folder / FOLDER
    target.mkdir()
    try:
        _write(network, target / FILES["onnx"])
        _quantize(target / FILES["onnx"], target / FILES["onnx-int8"])
    except OSError:  # such as a full disk, which is not the model's fault
        raise
    except Exception as error:  # exporters raise all kinds of errors
        raise ModelError(f"this model cannot be exported here ({error}): use the torch back end") from error
    names = sorted(set(FILES.values()))
    manifest = {"weights": sha256(folder / "model.safetensors")}
    manifest |= {name: sha256(target / name) for name in names}
    (target / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")


def exported(folder: Path, name: str) -> Path | None:
    """The file of a back end in a model's folder; None if none was exported from its present weights.

    Raises:
        ModelError: the file is damaged.
    """
    target = folder / FOLDER
    path = target / FILES[name]
    try:
        manifest = json.loads((target / MANIFEST).read_text(encoding="utf-8"))
        if manifest["weights"] != sha256(folder / "model.safetensors"):
            return None
        is_whole = sha256(path) == manifest[path.name]
    except (OSError, ValueError, KeyError, TypeError):  # never exported, or not completely
        return None
    if not is_whole:
        raise ModelError(
            f"{path} is not what was exported: delete the folder {target} and it is exported again"
        )
    return path


def copy_exported(source: Path, folder: Path) -> bool:
    """Copy the files that were exported from the same weights, if any; returns whether there were.

    Args:
        source: the folder of a saved model.
        folder: that of another, with its weights in place.
    """
    if not (source / FOLDER).is_dir():
        return False
    shutil.copytree(source / FOLDER, folder / FOLDER)
    if all(exported(folder, name) is not None for name in FILES):
        return True
    shutil.rmtree(folder / FOLDER)
    return False


def _write(network: CrossEncoder, path: Path) -> None:
    import torch
    from torch.export import Dim

    model: Any = copy.deepcopy(network.model)
    model.to(device="cpu", dtype=torch.float32).eval()
    # Plain matrix products, which ONNX Runtime fuses again in its own way.
    model.set_attn_implementation("eager")
    example = network.tokenizer(["a", "a b"], ["b", "b a a"], padding=True, return_tensors="pt")
    inputs = {name: example[name] for name in network.tokenizer.model_input_names if name in example}
    _skip_unread_tokens(model, inputs)
    shape = {0: Dim("rows"), 1: Dim("tokens")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # remarks of the exporter on names of axes
        torch.onnx.export(
            model,
            (),
            path,
            kwargs=inputs,
            input_names=list(inputs),
            output_names=["logits"],
            dynamic_shapes=dict.fromkeys(inputs, shape),
            dynamo=True,
            external_data=False,
            verbose=False,
        )


def _quantize(path: Path, target: Path) -> None:
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process

    with TemporaryDirectory() as scratch:
        plain, prepared = Path(scratch, "plain.onnx"), Path(scratch, "prepared.onnx")
        network = onnx.load(path)
        # torch 2.11 notes shapes of intermediate values that contradict those that ONNX infers.
        network.graph.ClearField("value_info")
        onnx.save(network, plain)
        quant_pre_process(plain, prepared, skip_symbolic_shape=True)
        quantize_dynamic(
            prepared,
            target,
            op_types_to_quantize=["MatMul", "Gemm"],
            per_channel=True,
            weight_type=QuantType.QInt8,
        )


def _skip_unread_tokens(model: Any, inputs: Mapping[str, Tensor]) -> None:
    """After its attention, let the last layer compute only the first token, if the head reads no other.

    Three quarters of the multiplications in BERT's last layer come after its attention. The logits stay the same; a
    model that is built differently, or whose head reads other tokens, is left as it is.
    """
    import torch

    try:
        after_attention = model.base_model.encoder.layer[-1].attention.output
    except AttributeError:
        return
    with torch.inference_mode():
        expected = model(**inputs).logits
        hook = after_attention.register_forward_pre_hook(
            lambda _, given: tuple(part[:, :1] for part in given)
        )
        try:
            same = torch.allclose(model(**inputs).logits, expected, rtol=0, atol=1e-5)
        except (RuntimeError, IndexError):  # the shapes no longer fit
            same = False
    if not same:
        hook.remove()
