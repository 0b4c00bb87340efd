"""Real VRAM, as NVIDIA's own library tells it. Machines without it have none to tell of.

Source: docs.nvidia.com/deploy/nvml-api. It is asked directly: the three calls need no package.
"""

import ctypes
import logging
from typing import Any

from activities.hosting import Vram

log = logging.getLogger(__name__)

LIBRARY = "libnvidia-ml.so.1"
MIB = 1024 * 1024


class _Memory(ctypes.Structure):
    """`nvmlMemory_t`, in bytes."""

    _fields_ = [("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong)]


class Nvml:
    """Implements `activities.hosting.Gauge`.

    `library` is libnvidia-ml, None where there is none. A card that does not tell (those that share their memory
    with the system do not) reads as None, as does any failure: the declared size stands then.
    """

    def __init__(self, library: Any) -> None:
        self._library = library if library is not None and library.nvmlInit_v2() == 0 else None

    @classmethod
    def load(cls) -> "Nvml":
        """The library of this machine."""
        try:
            return cls(ctypes.CDLL(LIBRARY))
        except OSError:
            return cls(None)

    def read(self, index: int) -> Vram | None:
        """See `Gauge`. Cards are counted as NVML does, by their PCI addresses."""
        if self._library is None:
            return None
        handle, memory = ctypes.c_void_p(), _Memory()
        failed = self._library.nvmlDeviceGetHandleByIndex_v2(ctypes.c_uint(index), ctypes.byref(handle))
        failed = failed or self._library.nvmlDeviceGetMemoryInfo(handle, ctypes.byref(memory))
        if failed or memory.total == 0:
            log.debug("card %d cannot be measured: NVML says %d", index, failed)
            return None
        return Vram(free_mib=memory.free // MIB, total_mib=memory.total // MIB)
