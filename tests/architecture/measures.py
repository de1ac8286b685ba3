"""Print the measures of the product's code beside their limits, with the worst places; with `--all` every place.

./run python -m tests.architecture.measures
"""

import argparse
from collections import defaultdict
from pathlib import PurePosixPath

from tests.architecture.counting import LineCount, total
from tests.architecture.limits import LIMITS
from tests.architecture.measured import Measure, lines, measure

WORST = 5


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.architecture.measures", description=__doc__)
    parser.add_argument("--all", action="store_const", const=None, default=WORST, dest="most", help="every place")
    most: int | None = parser.parse_args().most
    measured = {name: measure(name) for name in LIMITS}
    print(table(measured))
    print(packages(lines()))
    for name, each in measured.items():
        if each.offenders:
            print(f"\n{name}\n{each.places(most)}")


def table(measured: dict[str, Measure]) -> str:
    """Return a line for each measure: now, reached, aimed, and a word on what to do."""
    head = f"{'':38}{'now':>9}{'reached':>9}{'aimed':>9}\n"
    return head + "".join(_row(name, each.value) for name, each in measured.items())


def packages(counts: dict[str, LineCount]) -> str:
    """Return a line for each package: modules, lines, and explanation lines per 100 code lines."""
    grouped: dict[str, list[LineCount]] = defaultdict(list)
    for path, count in counts.items():
        grouped["/".join(PurePosixPath(path).parts[:-1][:2])].append(count)
    grouped["all"] = list(counts.values())
    head = f"{'package':30}{'modules':>9}{'code':>9}{'explain':>9}{'per 100':>9}\n"
    rows = [(package, len(those), total(those)) for package, those in grouped.items()]
    return head + "\n".join(
        f"{package:30}{modules:9}{count.code:9}{count.explanation:9}{count.ratio:9.1f}"
        for package, modules, count in rows
    )


def _row(name: str, value: float) -> str:
    limit = LIMITS[name]
    if not limit.allows(value):
        word = "WORSE than reached"
    elif limit.attains(value):
        word = "attained"
    else:
        word = "better: move `reached`" if limit.improves(value) else ""
    return f"{name:38}{_number(value)}{_number(limit.reached)}{_number(limit.aimed)}  {word}".rstrip() + "\n"


def _number(value: float) -> str:
    return f"{value:9.1f}" if value % 1 else f"{value:9,.0f}"


if __name__ == "__main__":
    main()
