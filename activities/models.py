"""Looks at a plan's model files before a box is rented for it: what they weigh, and what is not to be had."""

from dataclasses import dataclass

from temporalio import activity

from activities.contracts.boxes import ModelNeed
from activities.contracts.models import Asker, ModelSurvey
from activities.errors import AitherError, to_application_error
from activities.model_ports import ModelResolver

SURVEY_MODELS = "survey-models"


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyAsk:
    """Which files, and for whom."""

    needs: tuple[ModelNeed, ...]
    asker: Asker


class ModelActivities:
    """Activities about model files. What they return holds no URL."""

    def __init__(self, resolver: ModelResolver) -> None:
        self._resolver = resolver

    @activity.defn(name=SURVEY_MODELS)
    async def survey_models(self, ask: SurveyAsk) -> ModelSurvey:
        """Sizes of what can be had now, and what cannot, with the reasons of every tier."""
        try:
            found, missing = await self._resolver.resolve(
                [(need.uri, need.required) for need in ask.needs], ask.asker
            )
        except AitherError as error:
            raise to_application_error(error) from error
        return ModelSurvey(
            files=len(found), total_bytes=sum(each.file.size_bytes for each in found), missing=missing
        )
