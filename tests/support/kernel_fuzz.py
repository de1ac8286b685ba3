"""Compares the compiled kernel with Python on random messages, for a given time.

    ./run python -m tests.support.kernel_fuzz --seconds 300
    ./run python -m tests.support.kernel_fuzz --seconds 60 --kernel FILE      # another build, with a sanitizer say

Prints the seed, so that a failure can be repeated with `--seed`, and how many messages were compared.
"""

import argparse
import importlib.util
import random
import time
from importlib.machinery import ExtensionFileLoader

from services.writer import kernel
from tests.support.kernel_checks import check_room, check_rows
from tests.support.spellings import READABLE, USUAL

_AT_A_TIME = 200


def changed(chance: random.Random, suffix: str) -> bytes:
    """A message with pieces of it, or of another stream's, put anywhere."""
    event = USUAL[suffix]
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        other = USUAL[chance.choice((suffix, suffix, *USUAL))]
        begin, at = chance.randrange(len(other)), chance.randrange(len(event) + 1)
        piece = other[begin : begin + chance.choice((0, 1, 2, 5, 20, 200))]
        byte = bytes((chance.choice((*READABLE, chance.randrange(256))),)) * chance.choice((1, 1, 1, 2, 20, 64))
        event = event[:at] + chance.choice((piece, byte, b"")) + event[at + chance.choice((0, 0, 1, 1, 2, 9, 50)) :]
    return event


def use(path: str) -> None:
    """Take the kernel out of this file in place of the one that is installed."""
    name = "services.writer.kernel._kernel"
    spec = importlib.util.spec_from_loader(name, ExtensionFileLoader(name, path))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    kernel.template_class = module.Template


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--seed", type=int, default=time.time_ns())
    parser.add_argument("--kernel", metavar="FILE")
    options = parser.parse_args()
    if options.kernel:
        use(options.kernel)
    chance = random.Random(options.seed)
    print(f"seed {options.seed}", flush=True)
    check_room()
    end_s = time.monotonic() + options.seconds
    compared = made = 0
    while compared == 0 or time.monotonic() < end_s:
        suffix = chance.choice((*USUAL,))
        events = [changed(chance, suffix) for _ in range(_AT_A_TIME)]
        made += check_rows(suffix, events)
        compared += len(events)
    print(f"{compared} messages compared, of which the kernel made {made} rows")


if __name__ == "__main__":
    main()
