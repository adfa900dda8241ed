"""Call one build backend hook (PEP 517) in the build environment. Run as a script by that environment's Python.

Arguments: a JSON file with backend, backend_path, hook, arguments and default; and the file to write the answer to. The
current folder is the source tree's root, as PEP 517 asks. `default` answers for a hook that the backend leaves out.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path


def main() -> None:
    """Import the backend, call the hook, write what it returned as JSON."""
    call = json.loads(Path(sys.argv[1]).read_text())
    answer = Path(sys.argv[2])  # now: a backend may change sys.argv
    # PEP 517: the source tree is not on the path, but for what backend-path names, which comes first.
    sys.path[0:1] = [str(Path(entry).resolve()) for entry in call["backend_path"]]
    module, _, attributes = call["backend"].partition(":")
    backend = importlib.import_module(module)
    for attribute in filter(None, attributes.split(".")):
        backend = getattr(backend, attribute)
    hook = getattr(backend, call["hook"], None)
    value = call["default"] if hook is None else hook(*call["arguments"])
    answer.write_text(json.dumps(value))


if __name__ == "__main__":
    main()
