"""How urgent a turn is: the priorities of the queues, by whose work it is."""

from enum import IntEnum


class Urgency(IntEnum):
    """1 runs first. A turn's own priority is never made more urgent by what it asks for, only by waiting.

    INTERACTIVE: someone waits for the answer. ESCALATION: the reasoner's part of such a turn. AGENT, SWARM and
    BACKGROUND: work that nobody sits in front of.
    """

    INTERACTIVE = 1
    ESCALATION = 2
    AGENT = 3
    SWARM = 4
    BACKGROUND = 5
