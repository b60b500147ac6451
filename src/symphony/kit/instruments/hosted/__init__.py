"""Models behind HTTP: what OpenAI's and Anthropic's interfaces share, and each one's own. Light to import."""

from symphony.kit.instruments.hosted.catalog import model_info
from symphony.kit.instruments.hosted.models import HostedModels

__all__ = ["HostedModels", "model_info"]
