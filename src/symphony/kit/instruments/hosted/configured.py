"""The models that settings name, of the package's own and behind HTTP."""

from collections.abc import Mapping

import msgspec

from symphony.commons.settings import ModelConfig
from symphony.kit import instruments
from symphony.kit.instruments.hosted.catalog import model_info
from symphony.workflow.catalog import ModelInfo


def configured(models: Mapping[str, ModelConfig]) -> dict[str, ModelInfo]:
    """Return the models of the settings, by id."""
    return {
        name: msgspec.structs.replace(instruments.models()[instruments.MINILM], id=name)
        if one.provider == "minilm"
        else model_info(name, one)
        for name, one in models.items()
    }
