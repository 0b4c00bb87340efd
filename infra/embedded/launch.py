"""Starts a part so that it cannot outlive its supervisor: `launch.py SIGNAL PARENT USER PROGRAM ARGS...`.

Runs by path in a bare interpreter (standard library only, no site-packages) and replaces itself by the
program. The kernel sends SIGNAL to the program when PARENT is gone, however it went. USER is a numeric user
id to run as, or `-`; what root must give up, PostgreSQL for one, it gives up here.
"""

import ctypes
import os
import sys
from pathlib import Path

PR_SET_PDEATHSIG = 1
PR_SET_SECUREBITS = 28
NO_SETUID_FIXUP = 1 << 2
PR_CAP_AMBIENT = 47
PR_CAP_AMBIENT_RAISE = 2
CAP_DAC_OVERRIDE = 1
CAP_DAC_READ_SEARCH = 2
CAPABILITY_VERSION_3 = 0x20080522


class _CapHeader(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _CapData(ctypes.Structure):
    _fields_ = [
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    ]


libc = ctypes.CDLL(None, use_errno=True)


def _prctl(option: int, value: int, third: int = 0) -> None:
    if libc.prctl(option, value, third, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), f"prctl({option}, {value})")


def _closed_to_others(program: str) -> bool:
    """Whether a folder on the way to the program or to the working directory shuts other users out."""
    ways = [Path(program).resolve(), Path.cwd() / "x"]
    return any(not folder.stat().st_mode & 0o001 for way in ways for folder in way.parents)


def _read_search_only() -> None:
    """Keeps one capability across the change of user and exec: to pass folders that are closed to others."""
    header = _CapHeader(CAPABILITY_VERSION_3, 0)
    sets = (_CapData * 2)()
    if libc.capget(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capget")
    # Containers often withhold the narrow capability and grant the wide one.
    narrow = sets[0].permitted >> CAP_DAC_READ_SEARCH & 1
    capability = CAP_DAC_READ_SEARCH if narrow else CAP_DAC_OVERRIDE
    bit = sets[0].permitted & (1 << capability)
    sets[0].effective = sets[0].permitted = sets[0].inheritable = bit
    sets[1].effective = sets[1].permitted = sets[1].inheritable = 0
    if libc.capset(ctypes.byref(header), sets) != 0:
        raise OSError(ctypes.get_errno(), "capset")
    if bit:
        _prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, capability)


def _become(user_id: int, program: str) -> None:
    keep = _closed_to_others(program)
    if keep:
        # Without it access(2), by which PostgreSQL looks for its own programs, disregards the capability.
        _prctl(PR_SET_SECUREBITS, NO_SETUID_FIXUP)
    os.setgroups([])
    os.setgid(user_id)
    os.setuid(user_id)
    if keep:
        _read_search_only()


def main(argv: list[str]) -> None:
    """Binds this process to its parent, drops to the user, becomes the program."""
    death_signal, parent, user, program, *args = argv
    if user != "-":
        _become(int(user), program)
    # After the change of user, which clears it.
    _prctl(PR_SET_PDEATHSIG, int(death_signal))
    if os.getppid() != int(parent):
        sys.exit(0)
    os.execv(program, [program, *args])  # noqa: S606


if __name__ == "__main__":
    main(sys.argv[1:])
