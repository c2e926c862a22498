"""Draws `./dev bench peers` as an SVG: python bench/graph.py LINES.json docs/performance.svg."""

import json
import pathlib
import sys

WIDTH, ROW, LEFT = 760, 26, 190
COLOURS = {"sluice": "#1f6feb", "limit": "#8b949e"}


def bars(lines, layout):
    for line in lines:
        if line.get("layout") == layout and line["bench"] in ("limit", "peer") and line.get("data") != "words":
            yield line.get("writer", "limit"), line["cpu_us_per_row"]


def main():
    lines = [json.loads(line) for line in pathlib.Path(sys.argv[1]).read_text().splitlines()]
    out, y = [], 10
    top = max(value for layout in ("weaviate", "lake") for _, value in bars(lines, layout))
    for layout, title in (("weaviate", "layout weaviate: vectors as bytes"), ("lake", "layout lake: lists of floats, typed properties")):
        out.append(f'<text x="10" y="{y + 18}" font-weight="bold">{title}</text>')
        y += 32
        for name, value in bars(lines, layout):
            label = "zstd alone (limit)" if name == "limit" else name + (" (and scan)" if name == "sluice" else "")
            width = (WIDTH - LEFT - 80) * value / top
            out.append(f'<text x="{LEFT - 8}" y="{y + 15}" text-anchor="end">{label}</text>'
                       f'<rect x="{LEFT}" y="{y}" width="{width:.0f}" height="{ROW - 6}" fill="{COLOURS.get(name, "#d0a215")}"/>'
                       f'<text x="{LEFT + width + 6:.0f}" y="{y + 15}">{value:.1f} us</text>')
            y += ROW
        y += 14
    body = "\n".join(out)
    pathlib.Path(sys.argv[2]).write_text(
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{y + 6}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="100%" height="100%" fill="white"/>\n<text x="{WIDTH - 10}" y="18" text-anchor="end">CPU of a row, one thread; '
        f'less is better</text>\n{body}\n</svg>\n')


main()
