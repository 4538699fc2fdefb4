# SPDX-License-Identifier: Apache-2.0
"""Draws DIRECTORY/report.html in headless Chromium and fails where something is missing, cut off or not drawn.

Usage: check-report.py DIRECTORY PICTURES
"""

import pathlib
import re
import struct
import subprocess
import sys
import zlib

directory, pictures = map(pathlib.Path, sys.argv[1:])
page = (directory / "report.html").read_text()
HEIGHT = 1400
# Light theme of the page: marks of what was read and denied, the page, a card.
READ, DENIED, PAGE, CARD = (0x24, 0x63, 0xC7), (0xCF, 0x22, 0x2E), (0xF6, 0xF8, 0xFA), (0xFF, 0xFF, 0xFF)
MEASURE = """<script>
const wide = [...document.querySelectorAll('body *')].filter(e => e.getBoundingClientRect().right > innerWidth + 0.5);
const cut = [...document.querySelectorAll('h1, h2, p, b, span, code')].filter(e => e.scrollWidth > e.clientWidth + 1
    && getComputedStyle(e).overflow !== 'visible');
document.title = JSON.stringify({inner: innerWidth, scroll: document.documentElement.scrollWidth, wide: wide.length,
    cut: cut.length, rows: document.querySelectorAll('.row').length, marks: document.querySelectorAll('rect').length,
    columns: getComputedStyle(document.querySelector('.row')).gridTemplateColumns.split(' ').length});
</script>"""


def chromium(width, *options):
    command = ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
               f"--user-data-dir={directory}/profile", f"--window-size={width},{HEIGHT}", *options]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def pixels(path):
    """Rows of RGB triples of a PNG of 8 bits without interlace (PNG specification, sections 5 and 9)."""
    data = path.read_bytes()
    assert data.startswith(b"\x89PNG\r\n\x1a\n"), f"{path} is no PNG"
    at, packed, header = 8, b"", None
    while at < len(data):
        size, kind = struct.unpack(">I4s", data[at:at + 8])
        body = data[at + 8:at + 8 + size]
        if kind == b"IHDR":
            header = struct.unpack(">IIBBBBB", body)
        elif kind == b"IDAT":
            packed += body
        at += size + 12
    width, height, depth, kind, _, _, interlace = header
    assert (depth, interlace) == (8, 0) and kind in (2, 6), f"unexpected kind of PNG: {header}"
    step = 3 if kind == 2 else 4
    raw, before, rows = zlib.decompress(packed), bytearray(width * step), []
    for row in range(height):
        start = row * (width * step + 1)
        method, line = raw[start], bytearray(raw[start + 1:start + 1 + width * step])
        for index in range(len(line)):
            left = line[index - step] if index >= step else 0
            up, corner = before[index], before[index - step] if index >= step else 0
            if method == 1:
                line[index] = line[index] + left & 255
            elif method == 2:
                line[index] = line[index] + up & 255
            elif method == 3:
                line[index] = line[index] + (left + up) // 2 & 255
            elif method == 4:
                guess = left + up - corner
                line[index] = line[index] + min((left, up, corner), key=lambda value: abs(guess - value)) & 255
        before = line
        rows.append([tuple(line[index:index + 3]) for index in range(0, len(line), step)])
    return rows


failures = []


def expect(condition, message):
    if not condition:
        failures.append(message)


for text in ("COSIGN_KEY", "GHCR_TOKEN", "acme/shop", "build", "Not read by anybody", "NPM_TOKEN", "/usr/bin/head", "3 denied"):
    expect(text in page, f"the page does not say {text}")
measured = directory / "measured.html"
measured.write_text(re.sub(r"<meta http-equiv.*?>", "", page).replace("</body>", MEASURE + "</body>"))
for width, columns in ((1280, 3), (400, 1)):
    title = re.search(r"<title>(.*?)</title>", chromium(width, "--dump-dom", f"file://{measured}")).group(1)
    numbers = dict(re.findall(r'"(\w+)":(\d+)', title))
    seen = {key: int(value) for key, value in numbers.items()}
    expect(seen["scroll"] <= seen["inner"], f"at {width} the page is {seen['scroll']} wide in a window of {seen['inner']}")
    expect(seen["wide"] == 0 and seen["cut"] == 0, f"at {width} something is cut off: {title}")
    expect(seen["rows"] == 3 and seen["marks"] >= 3, f"at {width} rows or marks are missing: {title}")
    expect(seen["columns"] == columns, f"at {width} a row has {seen['columns']} columns")
    picture = pictures / f"{width}.png"
    chromium(width, f"--screenshot={picture.resolve()}", f"file://{directory}/report.html")
    rows = pixels(picture)
    expect(len(rows[0]) == width, f"{picture} is {len(rows[0])} wide")
    colours = {}
    for row in rows:
        for pixel in row:
            colours[pixel] = colours.get(pixel, 0) + 1
    for name, colour, least in (("reads", READ, 40), ("denials", DENIED, 40), ("the page", PAGE, 5000), ("cards", CARD, 5000)):
        expect(colours.get(colour, 0) >= least, f"at {width} {name} are not drawn: {colours.get(colour, 0)} pixels")
    expect(all(row[-2] == PAGE and row[1] == PAGE for row in rows), f"at {width} something is drawn over the margin")
for failure in failures:
    print(f"check-report: error: {failure}", file=sys.stderr)
sys.exit(1 if failures else 0)
