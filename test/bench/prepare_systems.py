"""Make the bundles that the bench of whole systems runs, once: random values, published shapes.

    PYTHONPATH=test python -m bench.prepare_systems --methods pacl,gkc SIZE…

The last line printed is a JSON description.
"""

from __future__ import annotations

import argparse
import json

from PIL import Image

from oracle.drawing import draw_picture
from parity.exporting import run_exporter

from .prepare import CACHE, exporter_changed

SYSTEMS = {"pacl": "vit_b_16", "ovseg": "swin_b_vit_l_14", "gkc": "rn101"}


def prepare(methods: list[str], sizes: list[int]) -> dict[str, dict[str, str]]:
    """Write what is missing; returns where everything is."""
    CACHE.mkdir(parents=True, exist_ok=True)
    bundles = {}
    for method in methods:
        config = SYSTEMS[method]
        bundle = CACHE / f"{method}-{config}.pt"
        if not bundle.is_file() or bundle.stat().st_mtime < exporter_changed():
            what = ["export", method, "--config", config, "--random-init", "--seed", "1"]
            done = run_exporter([*what, "--out", str(bundle)])
            if done.returncode != 0:
                raise RuntimeError(f"the exporter failed:\n{done.stdout}{done.stderr}")
        bundles[method] = str(bundle)
    pictures = {}
    for size in sizes:
        picture = CACHE / f"picture-{size}.png"
        Image.fromarray(draw_picture(size, size, seed=size, shapes=40)).save(picture)
        pictures[str(size)] = str(picture)
    return {"bundles": bundles, "pictures": pictures}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--methods", type=lambda names: names.split(","), default=list(SYSTEMS))
    parser.add_argument("sizes", type=int, nargs="+")
    arguments = parser.parse_args()
    print(json.dumps(prepare(arguments.methods, arguments.sizes)))
