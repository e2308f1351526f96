"""What hatchling does besides packing: it compiles the native core, if that can be done here.

Without a C compiler, or where there is no native core, the package is built all the same, and works
on greenlet; `pausable.backend()` tells why.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Adds the extension module to the wheel."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile, and have what came of it packed."""
        root = Path(self.root)
        spec = importlib.util.spec_from_file_location(
            "build_native", root / "scripts" / "build_native.py"
        )
        assert spec is not None
        assert spec.loader is not None
        script = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(script)
        path, why_not = script.build_or_explain()
        if path is not None:
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
            built = path
        else:
            print(
                f"\npausable: WITHOUT the native core: {why_not}\n"
                "pausable: jobs will run on greenlet, which works everywhere and is slower\n",
                file=sys.stderr,
            )
            built = script.PACKAGE / script.REASON
        if version != "editable":
            build_data["force_include"][str(built)] = f"pausable/{built.name}"
