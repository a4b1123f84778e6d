"""Whether a notebook's committed outputs are what its code gives.

One rule: the words of an output must be the same, in the same order, and numbers may differ by 0.05 or 10 %, since
models compute a little differently on other processors. Pictures must have the same size in pixels. Two tags of cells
make exceptions: numbers of a "timed" cell, which measures time, are not compared; of a "trained" cell, which shows
what a model learned on this machine, only the kinds of outputs are compared, and test_notebook.py checks the rest.
"""

from __future__ import annotations

import base64
import io
import re

from nbformat import NotebookNode
from PIL import Image

NUMBER = re.compile(r"(?<![\w.])[+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?(?![\w])")
INLINE_IMAGE = re.compile(r"data:image/\w+;base64,[A-Za-z0-9+/=]+")
TIMED, TRAINED = "timed", "trained"


def text_of(output: NotebookNode) -> str:
    """What an output says: printed, or the richest text that it shows."""
    if output.output_type == "stream":
        return output.text
    for kind in ("text/html", "text/markdown", "text/plain"):
        if kind in output.get("data", {}) and "image/png" not in output.data:
            return INLINE_IMAGE.sub("image", output.data[kind])
    return ""


def pictures_of(output: NotebookNode) -> list[tuple[int, int]]:
    """Width and height of what an output draws, also within HTML."""
    data = output.get("data", {})
    found = [data["image/png"]] if "image/png" in data else []
    found += [uri.partition(",")[2] for uri in INLINE_IMAGE.findall(data.get("text/html", ""))]
    return [Image.open(io.BytesIO(base64.b64decode(each))).size for each in found]


def words_and_numbers(text: str) -> tuple[list[str], list[float]]:
    """A text's words, with "#" for every number, and the numbers."""
    numbers = [float(number.replace(",", "")) for number in NUMBER.findall(text)]
    return NUMBER.sub("#", text).split(), numbers


def differences(committed: NotebookNode, fresh: NotebookNode) -> list[str]:
    """What the two executions of a notebook do not agree on, one sentence each."""
    found = []
    for number, (before, after) in enumerate(zip(committed.cells, fresh.cells, strict=True)):
        if before.cell_type != "code":
            continue
        tags = before.metadata.get("tags", ())
        kinds, fresh_kinds = (
            {(each.output_type, *sorted(each.get("data", {}))) for each in cell.outputs}
            for cell in (before, after)
        )
        if kinds != fresh_kinds:
            found.append(f"cell {number} has outputs {fresh_kinds} and not {kinds}")
        texts = ["\n".join(map(text_of, cell.outputs)) for cell in (before, after)]
        (words, numbers), (fresh_words, fresh_numbers) = map(words_and_numbers, texts)
        if TRAINED in tags:
            pass
        elif words != fresh_words:
            found.append(f"cell {number} says\n{texts[1]}\nand not\n{texts[0]}")
        elif TIMED not in tags:
            found += [
                f"cell {number} says {new:g} and not {old:g}"
                for old, new in zip(numbers, fresh_numbers, strict=True)
                if abs(old - new) > max(0.05, 0.1 * abs(old))
            ]
        sizes, fresh_sizes = (
            [size for each in cell.outputs for size in pictures_of(each)] for cell in (before, after)
        )
        if sizes != fresh_sizes:
            found.append(f"cell {number} draws pictures of {fresh_sizes} and not of {sizes}")
    return found
