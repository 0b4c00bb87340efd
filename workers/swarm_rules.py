"""The pure policies of swarms, as their activities take them."""

from workflows.policy import budget, claims, swarm_answers, swarm_prompts, swarm_room


class PolicySwarmRules:
    """Implements `activities.swarm_ports.SwarmRules` with the pure policies."""

    task_id = staticmethod(claims.task_id)
    read_plan = staticmethod(swarm_answers.read_plan)
    read_findings = staticmethod(swarm_answers.read_findings)
    read_citations = staticmethod(swarm_answers.read_citations)
    without_unknown = staticmethod(swarm_answers.without_unknown)
    plan_prompt = staticmethod(swarm_prompts.plan_prompt)
    work_prompt = staticmethod(swarm_prompts.work_prompt)
    synthesis_prompt = staticmethod(swarm_prompts.synthesis_prompt)
    labelled = staticmethod(swarm_prompts.labelled)
    tokens = staticmethod(swarm_prompts.tokens)
    reading_room = staticmethod(swarm_prompts.reading_room)
    packed = staticmethod(swarm_room.packed)
    worker_cap_nano = staticmethod(swarm_room.worker_cap_nano)
    money_left = staticmethod(swarm_room.money_left)
    stopped = staticmethod(swarm_room.stopped)
    to_nano = staticmethod(budget.to_nano)
