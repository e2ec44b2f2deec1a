"""Write generated evenings as files that ``demo --file`` reads: ``python -m tests.evenings FOLDER [SEED ...]``."""

import json
import sys
from pathlib import Path

from tests.evenings import SEEDS, generate


def write(folder: Path, seeds: list[int]) -> list[Path]:
    """Write ``evening-SEED.json`` for each seed, and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for seed in seeds:
        path = folder / f"evening-{seed:02}.json"
        path.write_text(json.dumps(generate(seed), indent=1) + "\n")
        paths.append(path)
    return paths


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit("Say where to: python -m tests.evenings FOLDER [SEED ...]")
    for written in write(Path(sys.argv[1]), [int(seed) for seed in sys.argv[2:]] or list(SEEDS)):
        print(written)
