from tests.ladder.conftest import _no_task_left_behind, fallback, ground, primary

__all__ = ["_no_task_left_behind", "fallback", "ground", "primary"]
