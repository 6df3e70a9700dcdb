"""Run a command as a unit of systemd would: `python -m tests.shut_in UNIT COMMAND …`.

systemd is not the first process of a test's machine, so this does itself what the unit says about
system calls (by libseccomp, with systemd's own lists) and memory that is writable and executable.
"""

import ctypes
import os
import re
import subprocess
import sys
from pathlib import Path

# of seccomp.h and prctl.h; systemd's MemoryDenyWriteExecute= and PR_SET_MDWE forbid the same
_ALLOW, _FAIL = 0x7FFF0000, 0x00050000 | 1
_PR_SET_MDWE, _REFUSE_EXEC_GAIN = 65, 1


def calls(group: str) -> set[str]:
    """List the system calls of a group (`@system-service`), and of those in it."""
    command = ["systemd-analyze", "syscall-filter", "--no-pager", group]
    listed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = set[str]()
    for line in map(str.strip, listed.splitlines()[1:]):
        if line and not line.startswith("#"):
            found |= calls(line) if line.startswith("@") else {line}
    return found


def allowed(unit: Path) -> set[str]:
    """List the system calls that a unit lets its processes make."""
    found = calls("@default")
    for denies, groups in re.findall(r"^SystemCallFilter=(~?)(.+)$", unit.read_text(), re.M):
        named = set[str]().union(*map(calls, groups.split()))
        found = found - named if denies else found | named
    return found


def restrict(unit: Path) -> None:
    """Restrict this process, and those that it becomes and starts. Raises OSError."""
    library = ctypes.CDLL("libseccomp.so.2")
    library.seccomp_init.restype = ctypes.c_void_p
    rules = ctypes.c_void_p(library.seccomp_init(ctypes.c_uint32(_FAIL)))
    for name in allowed(unit):
        number = library.seccomp_syscall_resolve_name(name.encode())
        if number >= 0:  # below: of another architecture
            library.seccomp_rule_add(rules, ctypes.c_uint32(_ALLOW), number, 0)
    if ctypes.CDLL(None).prctl(_PR_SET_MDWE, _REFUSE_EXEC_GAIN, 0, 0, 0):
        raise OSError("no MDWE: it needs Linux 6.3")
    if library.seccomp_load(rules):
        raise OSError("the system calls cannot be filtered")


if __name__ == "__main__":
    restrict(Path(sys.argv[1]))
    os.execv(sys.argv[2], sys.argv[2:])
