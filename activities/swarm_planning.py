"""A swarm's plan: asking for it, taking it in; and every turn that is not a worker's."""

from temporalio import activity

from activities.contracts.jobs import Asked, JobEventKind, JobRecord, PlanTaken, TurnAsk
from activities.contracts.ledger import PutTasks
from activities.contracts.swarm import Role, SwarmPhase, Task
from activities.contracts.swarm_texts import Plan, Planned, Prompt
from activities.swarm_job import SwarmPorts, translated
from activities.swarm_ports import BoardTask, JobTurn
from activities.swarm_reading import Reading

TITLE_CHARS = 80


class PlanningActivities:
    """`ask-turn` and `take-plan`, on the queue of the ledger."""

    def __init__(self, ports: SwarmPorts, reading: Reading) -> None:
        self._ports = ports
        self._reading = reading

    @activity.defn(name="ask-turn")
    async def ask_turn(self, ask: TurnAsk) -> Asked:
        """Stores the planner's or synthesizer's turn that is asked for, unless it is there."""
        with translated():
            job = await self._ports.jobs.record(ask.ref)
            if ask.role is Role.PLANNER:
                prompt = await self._plan_prompt(job, ask)
            else:
                prompt = await self._reading.prompt(job, ask)
            turn_id = self._reading.turn_id(ask)
            return await self._ports.asking.ask(job, JobTurn(turn_id=turn_id, role=ask.role, prompt=prompt))

    @activity.defn(name="take-plan")
    async def take_plan(self, ask: TurnAsk) -> PlanTaken:
        """Puts the tasks of the answer on the ledger, or says what is wrong with it.

        What is whole of a second answer is taken; where there is nothing, the goal itself is the one task.
        """
        with translated():
            job = await self._ports.jobs.record(ask.ref)
            turn_id = self._reading.turn_id(ask)
            said = (await self._ports.jobs.said(ask.ref, [turn_id])).get(turn_id)
            text = said.text if said else ""
            wanted = job.options.tasks
            plan = self._ports.rules.read_plan(text, wanted, lenient=ask.attempt > 0)
            if plan.mistake and ask.attempt == 0:
                return PlanTaken(mistake=plan.mistake)
            return PlanTaken(tasks=await self._put(job, plan))

    async def _put(self, job: JobRecord, plan: Plan) -> int:
        planned = plan.tasks or (Planned(title=" ".join(job.goal.split())[:TITLE_CHARS], text=job.goal),)
        ref, rules = job.ref, self._ports.rules
        tasks = tuple(
            Task(
                id=rules.task_id(ref.job_id, task.text),
                goal_id=ref.job_id,
                tenant_id=ref.tenant_id,
                place=place,
                title=task.title,
                text=task.text,
            )
            for place, task in enumerate(planned)
        )
        await self._ports.store.put_tasks(PutTasks(tenant_id=ref.tenant_id, goal_id=ref.job_id, tasks=tasks))
        await self._ports.jobs.put_board(
            ref, [BoardTask(id=task.id, place=task.place, title=task.title) for task in tasks]
        )
        await self._ports.jobs.set_phase(ref, SwarmPhase.WORKING)
        await self._ports.teller.tell(
            ref.job_id,
            (JobEventKind.PLANNED, {"tasks": len(tasks), "fallback": not plan.tasks}),
            (JobEventKind.PHASE, {"phase": SwarmPhase.WORKING}),
        )
        return len(tasks)

    async def _plan_prompt(self, job: JobRecord, ask: TurnAsk) -> Prompt:
        rules, wanted = self._ports.rules, job.options.tasks
        window = self._ports.asking.window(job, Role.PLANNER)
        if ask.attempt == 0:
            return rules.plan_prompt(job.goal, job.context, wanted, window)
        first = self._reading.turn_id(ask, attempt=0)
        said = (await self._ports.jobs.said(ask.ref, [first])).get(first)
        text = said.text if said else ""
        mistake = rules.read_plan(text, wanted).mistake or "it cannot be used"
        return rules.plan_prompt(job.goal, job.context, wanted, window, mistake=mistake, said=text)
