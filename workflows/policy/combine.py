"""What a turn may do, from what its installation, tenant, key, agent and request say of it.

The stricter always wins, so nobody in the row can lift what another has set. Only `compose`, which grants
nothing, is the last word of whoever says anything of it.
"""

from collections.abc import Iterable

from activities.contracts.policy import ApproveCloud, Bounds, Caps, TurnPolicy, approval_said

_STRICTNESS = tuple(ApproveCloud)


def combine(start: TurnPolicy, *said: Bounds) -> TurnPolicy:
    """The policy that all of them together allow, from the most general to the most particular."""
    bounds = (bounds_of(start), *said)
    compose = [each.compose for each in bounds if each.compose is not None]
    return TurnPolicy(
        local_only=any(each.local_only for each in bounds),
        allowed_models=_shared(each.allowed_models for each in bounds),
        allowed_backends=_shared(each.allowed_backends for each in bounds),
        caps=Caps(
            turn_usd=_least(each.max_usd for each in bounds),
            tenant_day_usd=_least(each.max_usd_day for each in bounds),
            tenant_month_usd=_least(each.max_usd_month for each in bounds),
        ),
        approve_cloud=_strictest(approval_said(each.approve_cloud) for each in bounds),
        approve_above_usd=_least(each.approve_above_usd for each in bounds),
        compose=bool(compose and compose[-1]),
    )


def bounds_of(policy: TurnPolicy) -> Bounds:
    """A policy in the form in which it is stored and shown: `combine(TurnPolicy(), bounds_of(p)) == p`."""
    return Bounds(
        local_only=policy.local_only,
        max_usd=policy.caps.turn_usd,
        max_usd_day=policy.caps.tenant_day_usd,
        max_usd_month=policy.caps.tenant_month_usd,
        allowed_models=policy.allowed_models,
        allowed_backends=policy.allowed_backends,
        approve_cloud=policy.approve_cloud,
        approve_above_usd=policy.approve_above_usd,
        compose=policy.compose,
    )


def _least(amounts: Iterable[float | None]) -> float | None:
    return min((amount for amount in amounts if amount is not None), default=None)


def _strictest(said: Iterable[ApproveCloud | None]) -> ApproveCloud:
    return max((each for each in said if each is not None), key=_STRICTNESS.index, default=ApproveCloud.NEVER)


def _shared(lists: Iterable[tuple[str, ...] | None]) -> tuple[str, ...] | None:
    """What stands on every list, in the order of the first."""
    given = [names for names in lists if names is not None]
    if not given:
        return None
    return tuple(dict.fromkeys(name for name in given[0] if all(name in names for names in given[1:])))
