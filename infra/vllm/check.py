"""Whether a version of vLLM would take a profile's command."""

from __future__ import annotations

from collections.abc import Iterator

from infra.config.mistakes import Finding, Mistake, allowed
from infra.vllm.command import flags_of
from infra.vllm.flags import FlagList
from infra.vllm.profiles import Profile


def refusals(profile: Profile, flags: FlagList) -> list[Mistake]:
    """Every flag and value of the profile that this version does not know, each with its line in the profile."""
    findings = list(_refused(profile, flags))
    if profile.origin is None:
        return [Mistake(text=finding.told) for finding in findings]
    return sorted(profile.origin.placed(findings), key=lambda mistake: mistake.line or 0)


def _refused(profile: Profile, flags: FlagList) -> Iterator[Finding]:
    for flag in flags_of(profile):
        for value in flag.values or (None,):
            if wrong := flags.objection(flag.name, value):
                yield Finding(flag.key, wrong)
    methods = flags.choices.get("--spec-method")
    if profile.draft and methods and profile.draft.method not in methods:
        text = f'"{profile.draft.method}" is no way to draft of vLLM {flags.version}'
        yield Finding(("draft", "method"), f"{text}; {allowed(methods, profile.draft.method)}")
