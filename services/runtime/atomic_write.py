"""A small file that is the old one or the new one, whenever its writer is killed."""

import os
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Replace the file in one step; OSError where the disk refuses."""
    new = path.with_name(f"{path.name}.new")
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, 0o640)
    with open(descriptor, "wb") as file:  # noqa: PTH123 (of a descriptor)
        file.write(content)
    new.replace(path)
