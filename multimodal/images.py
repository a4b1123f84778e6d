"""Decode photos from untrusted sources: three formats only, and size limits that are checked before decoding."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING

from multimodal.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP")  # of the more than forty decoders that Pillow registers
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 40_000_000


def load_image(source: str | Path | Image, *, long_side: int | None = None) -> Image:
    """Decode one photo as RGB, rotated upright by its EXIF orientation, with transparent areas on white.

    Args:
        source: path of a JPEG, PNG or WebP file, or an image that is already open.
        long_side: decode JPEG files at the smallest built-in scale that keeps at least this many pixels on the
            longer side, which is much faster for large photos; None decodes at full size.

    Returns:
        The first frame, mode "RGB".

    Raises:
        ImageError: the file is missing, larger than 64 MiB or 40 megapixels, truncated, or of another format.
    """
    import PIL.Image
    from PIL import UnidentifiedImageError

    name = "the given image" if isinstance(source, PIL.Image.Image) else f"photo '{source}'"
    try:
        with warnings.catch_warnings():
            # Pillow warns about sizes that are refused here anyway, and about EXIF fields that are not used.
            warnings.filterwarnings("ignore", module=r"PIL\.")
            if isinstance(source, PIL.Image.Image):
                return _upright_rgb(source, name)
            return _decode(Path(source), name, long_side)
    except ImageError:
        raise
    except PIL.Image.DecompressionBombError as error:
        raise ImageError(f"{name} has over {MAX_PIXELS:,} pixels: shrink it first") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"{name} is not a {', '.join(FORMATS)} file: convert it first") from error
    except Exception as error:  # a damaged file can make a decoder raise anything
        raise ImageError(f"{name} is damaged or unreadable ({error}): replace the file") from error


def _decode(path: Path, name: str, long_side: int | None) -> Image:
    import PIL.Image

    if not path.is_file():
        raise ImageError(f"{name} does not exist: correct the path or leave the image out")
    if path.stat().st_size > MAX_BYTES:
        raise ImageError(f"{name} is larger than {MAX_BYTES >> 20} MiB: shrink it first")
    with PIL.Image.open(path, formats=FORMATS) as image:
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
