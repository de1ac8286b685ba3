"""Has the compiled kernel built for a wheel and for an editable install; where that cannot be done, nothing is amiss.

So it is built at the first `./run`, and again when its C file has changed (`cache-keys` in pyproject.toml).
"""

import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

_FOLDER = "services/writer/kernel"


class KernelHook(BuildHookInterface):
    """Adds the compiled kernel to a wheel, which then is one of this platform."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Build it, and tell hatchling of it."""
        done = subprocess.run([sys.executable, Path(self.root, _FOLDER, "build.py")], check=False)  # noqa: S603
        if done.returncode == 0:
            platform = sysconfig.get_platform().replace("-", "_").replace(".", "_")
            build_data["artifacts"].append(f"/{_FOLDER}/_kernel.abi3.so")
            build_data["pure_python"] = False
            build_data["tag"] = f"cp311-abi3-{platform}"
