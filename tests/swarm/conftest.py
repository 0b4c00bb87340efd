from tests.ladder.conftest import _no_task_left_behind, ground
from tests.swarm.storing import place

__all__ = ["_no_task_left_behind", "ground", "place"]
