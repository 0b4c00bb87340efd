"""What NVML says is passed on, and what it does not say is not made up."""

import ctypes
from typing import Any

import pytest

from activities.hosting import Vram
from infra.hosts import nvml
from infra.hosts.nvml import Nvml

GIB = 1024**3


class Library:
    """libnvidia-ml, as far as it is asked: one card of 32 GiB at index 1."""

    def __init__(self, **fails: int) -> None:
        self.fails = fails

    def nvmlInit_v2(self) -> int:
        return self.fails.get("init", 0)

    def nvmlDeviceGetHandleByIndex_v2(self, index: Any, handle: Any) -> int:
        return 0 if index.value == 1 else 2

    def nvmlDeviceGetMemoryInfo(self, handle: Any, memory: Any) -> int:
        if failed := self.fails.get("memory"):
            return failed
        words = ctypes.cast(memory, ctypes.POINTER(ctypes.c_ulonglong))
        words[0], words[1], words[2] = 32 * GIB, 12 * GIB, 20 * GIB
        return 0


def test_a_card_is_read() -> None:
    assert Nvml(Library()).read(1) == Vram(free_mib=12 * 1024, total_mib=32 * 1024)


@pytest.mark.parametrize("library", [None, Library(init=9), Library(memory=3)])
def test_what_cannot_be_measured_is_not_made_up(library: Library | None) -> None:
    assert Nvml(library).read(1) is None


def test_a_card_that_is_not_there() -> None:
    assert Nvml(Library()).read(0) is None


def test_a_machine_without_the_library(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nvml, "LIBRARY", "libno-such-library.so.1")
    assert Nvml.load().read(0) is None
