"""Make the README's picture of the demo: the chart, and the first searches, from the page that `twotower demo` wrote.

    python examples/draw_demo_page.py twotower-demo/index.html examples/images/demo.png

Needs chromium and a Chinese font, in Debian the packages chromium and fonts-noto-cjk.
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image, ImageChops

WIDTH, HEIGHT, COLOURS = 1180, 1620, 128
# The picture leaves out what a reader of the README does not miss: the table, and all but two searches.
LEFT_OUT = ".scroll, .soft, h2:not(:first-of-type), h2 ~ p { display: none } body { padding-top: 1rem }"
SHOWN = (0, 5)  # the first English and the first Chinese search


def excerpt(page: str) -> str:
    """The page with its chart and some of its searches alone."""
    top, _, rest = page.partition("<h2>Searches</h2>")
    searches = re.findall(r"<h3><span lang=.*?(?=<h3>|<h2>)", rest, flags=re.DOTALL)
    key = re.search(r'<div class="key">.*?</div>', rest, flags=re.DOTALL)
    shown = "".join(searches[number] for number in SHOWN)
    style = f"<style>{LEFT_OUT}</style>"
    return f"{top.replace('</head>', style + '</head>')}{key[0] if key else ''}{shown}</body></html>"


def main() -> None:
    page, picture = map(Path, sys.argv[1:])
    with tempfile.TemporaryDirectory() as folder:
        html, shot = Path(folder, "excerpt.html"), Path(folder, "shot.png")
        html.write_text(excerpt(page.read_text(encoding="utf-8")), encoding="utf-8")
        command = [
            "chromium", "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars",
            f"--window-size={WIDTH},{HEIGHT}", f"--screenshot={shot}", html.as_uri(),
        ]  # fmt: skip
        subprocess.run(command, check=True, capture_output=True)
        image = Image.open(shot).convert("RGB")
    paper = Image.new("RGB", image.size, image.getpixel((0, 0)))
    _, _, _, bottom = ImageChops.difference(image, paper).getbbox()
    image.crop((0, 0, WIDTH, bottom + 24)).quantize(COLOURS, dither=Image.Dither.NONE).save(
        picture, optimize=True
    )


if __name__ == "__main__":
    main()
