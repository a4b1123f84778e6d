"""Decode photos from untrusted sources: three formats only, and size limits that are checked before decoding."""

from __future__ import annotations

import warnings
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, TypeAlias

from multimodal.checks import check_whole
from multimodal.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

ImageSource: TypeAlias = "str | Path | bytes | BinaryIO | Image"
"""A JPEG, PNG or WebP file by its path, as bytes or as a file opened for reading bytes; or an open image."""
FORMATS = ("JPEG", "PNG", "WEBP")  # of the more than forty decoders that Pillow registers
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 40_000_000


def load_image(source: ImageSource, *, long_side: int | None = None) -> Image:
    """Decode one photo as RGB, rotated upright by its EXIF orientation, with transparent areas on white.

    Args:
        source: a JPEG, PNG or WebP file by its path or content, or an image that is already open.
        long_side: decode JPEG files at the smallest built-in scale that keeps at least this many pixels on the
            longer side, which is much faster for large photos; None decodes at full size.

    Returns:
        The first frame, mode "RGB".

    Raises:
        ImageError: the file is missing, larger than 64 MiB or 40 megapixels, truncated, or of another format, or
            the source is of another type.
    """
    import PIL.Image
    from PIL import UnidentifiedImageError

    if long_side is not None:
        check_whole("long_side", long_side, least=1)
    name = f"photo '{source}'" if isinstance(source, str | Path) else "the given image"
    try:
        with warnings.catch_warnings():
            # Pillow warns about sizes that are refused here anyway, and about EXIF fields that are not used.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            if isinstance(source, PIL.Image.Image):
                return _upright_rgb(source, name)
            if isinstance(source, str | Path):
                return _decode(_existing(source, name), name, long_side)
            return _decode(_content(source), name, long_side)
    except ImageError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"{name} has over {MAX_PIXELS:,} pixels: shrink it first") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a {', '.join(FORMATS)} file: convert it first") from error
    except Exception as error:  # a damaged file can make a decoder raise anything
        raise ImageError(f"{name} is damaged or unreadable ({error}): replace the file") from error


def _existing(source: str | Path, name: str) -> Path:
    if isinstance(source, str) and source.startswith("data:"):
        raise ImageError("the given image is a data URL: pass the bytes that it encodes")
    if isinstance(source, str) and "://" in source:
        raise ImageError(f"{name} is a URL, which is not fetched: download it and pass its path or bytes")
    path = Path(source)
    if not path.is_file():
        raise ImageError(f"{name} does not exist: correct the path or leave the image out")
    if path.stat().st_size > MAX_BYTES:
        raise ImageError(f"{name} is larger than {MAX_BYTES >> 20} MiB: shrink it first")
    return path


def _content(source: object) -> BytesIO:
    """The content of bytes or of a file, whose position is restored."""
    if not isinstance(source, bytes | bytearray | memoryview):
        source = _read(source)
    if len(source) > MAX_BYTES:
        raise ImageError(f"the given image is larger than {MAX_BYTES >> 20} MiB: shrink it first")
    return BytesIO(source)


def _read(file: Any) -> bytes:
    if not hasattr(file, "read"):
        raise ImageError(
            f"a {type(file).__name__} is not a photo: pass a path, bytes, a file opened for reading bytes, or an "
            "image such as PIL.Image.fromarray(array)"
        )
    start = file.tell() if file.seekable() else None
    content = file.read(MAX_BYTES + 1)
    if start is not None:
        file.seek(start)
    if not isinstance(content, bytes):
        raise ImageError("the given file is open for reading text: open it for reading bytes")
    return content


def _decode(file: Path | BytesIO, name: str, long_side: int | None) -> Image:
    import PIL.Image

    with PIL.Image.open(file, formats=FORMATS) as image:
        # The header has the size, so a decompression bomb is refused before any pixel is decoded.
        _check_pixels(image, name)
        if long_side is not None:
            image.draft("RGB", (long_side, long_side))
        return _upright_rgb(image, name)


def _check_pixels(image: Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name} has {width * height:,} pixels, over {MAX_PIXELS:,}: shrink it first")


def _upright_rgb(image: Image, name: str) -> Image:
    import PIL.Image
    from PIL import ImageOps

    _check_pixels(image, name)
    image = ImageOps.exif_transpose(image)
    if image.mode == "I;16":  # 16 bits per pixel: convert() would clip them to white instead of scaling
        image = image.point(lambda level: level / 256).convert("L")
        image.info.pop("transparency", None)  # which is a 16-bit level too
    if image.has_transparency_data:
        canvas = PIL.Image.new("RGBA", image.size, "white")
        canvas.alpha_composite(image.convert("RGBA"))
        image = canvas
    return image.convert("RGB")
