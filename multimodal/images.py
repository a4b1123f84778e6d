"""Open photos that strangers made: only three formats, capped before they are decoded."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from multimodal.errors import ImageError

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("JPEG", "PNG", "WEBP")  # Pillow registers over forty decoders; a shop needs these
MAX_BYTES = 64 * 2**20
MAX_PIXELS = 40_000_000


def load_image(source: str | Path | Image, *, long_side: int | None = None) -> Image:
    """Decode one photo as RGB, transparent parts on white, turned upright as its EXIF data says.

    Args:
        source: path of a JPEG, PNG or WebP file, or an image that is open already.
        long_side: decode JPEG files at the smallest built-in scale that keeps this many pixels on the longer
            side, which is much faster for large photos; None decodes every pixel.

    Returns:
        The first frame, mode "RGB".

    Raises:
        ImageError: the file is missing, larger than 64 MiB or 40 megapixels, truncated, or of another format.
    """
    import PIL.Image
    from PIL import UnidentifiedImageError

    if isinstance(source, PIL.Image.Image):
        return _upright_rgb(source, name="the given image")
    path = Path(source)
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ImageError(f"photo '{path}' is larger than {MAX_BYTES >> 20} MiB: shrink it first")
        with PIL.Image.open(path, formats=FORMATS) as image:
            # The header alone tells the size; a bomb is refused before a pixel is decoded.
            _check_pixels(image, name=f"photo '{path}'")
            if long_side is not None:
                image.draft("RGB", (long_side, long_side))
            return _upright_rgb(image, name=f"photo '{path}'")
    except FileNotFoundError as error:
        raise ImageError(f"photo '{path}' does not exist: correct the path or leave the image out") from error
    except (PIL.Image.DecompressionBombError, PIL.Image.DecompressionBombWarning) as error:
        raise ImageError(f"photo '{path}' has over {MAX_PIXELS:,} pixels: shrink it first") from error
    except UnidentifiedImageError as error:
        raise ImageError(f"photo '{path}' is not a {', '.join(FORMATS)} file: convert it first") from error
    except (OSError, SyntaxError, ValueError) as error:
        if isinstance(error, ImageError):
            raise
        raise ImageError(f"photo '{path}' is damaged or unreadable ({error}): replace the file") from error


def _check_pixels(image: Image, name: str) -> None:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise ImageError(f"{name} has {width * height:,} pixels, over {MAX_PIXELS:,}: shrink it first")


def _upright_rgb(image: Image, name: str) -> Image:
    import PIL.Image
    from PIL import ImageOps

    _check_pixels(image, name)
    image = ImageOps.exif_transpose(image)
    if image.has_transparency_data:
        canvas = PIL.Image.new("RGBA", image.size, "white")
        canvas.alpha_composite(image.convert("RGBA"))
        image = canvas
    return image.convert("RGB")
