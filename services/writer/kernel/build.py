"""Builds the compiled kernel beside its C file: `python -m services.writer.kernel.build`.

hatch_build.py runs this as a script when the project is installed, so it imports nothing of ours. It takes a C
compiler and the headers of Python; the result is one file for this machine and every Python from 3.11 on.
"""

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

SOURCE = Path(__file__).with_name("kernel.c")
BUILT = Path(__file__).with_name("_kernel.abi3.so")
_FLAGS = ("-O2", "-fPIC", "-shared", "-std=c11", "-fvisibility=hidden")
_LONGEST_S = 120.0


def build(built: Path = BUILT, *flags: str) -> str:
    """Compile the kernel, and return why not where that cannot be done; an older one is removed in any case."""
    partly = built.with_name(f".{os.getpid()}.{built.name}")  # a process may have the old one in use
    try:
        built.unlink(missing_ok=True)
        compiler = _compiler()
        if compiler is None:
            return "there is no C compiler"
        words = [*compiler, *_FLAGS, *flags, f"-I{sysconfig.get_path('include')}", str(SOURCE), "-o", str(partly)]
        done = subprocess.run(words, check=False, capture_output=True, text=True, timeout=_LONGEST_S)  # noqa: S603
        if done.returncode == 0:
            partly.replace(built)
            return ""
        partly.unlink(missing_ok=True)
        lines = done.stderr.splitlines()
        return next((line for line in lines if "error" in line), f"the compiler ended with {done.returncode}")
    except (OSError, subprocess.TimeoutExpired) as error:
        return str(error)


def _compiler() -> list[str] | None:
    given = os.environ.get("CC")
    names = [given] if given else [sysconfig.get_config_var("CC"), "cc", "gcc", "clang"]
    commands = [shlex.split(name) for name in names if name]
    return next((command for command in commands if command and shutil.which(command[0])), None)


def main() -> None:
    """Build it; where that fails everything runs in Python, so the exit code says it and nothing is amiss."""
    reason = build()
    if reason:
        print(f"no kernel, everything runs in Python: {reason}", file=sys.stderr)  # noqa: T201
        sys.exit(1)


if __name__ == "__main__":
    main()
