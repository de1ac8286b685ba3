"""The settings of hypothesis for all properties. A busy machine may take its time for a case."""

from hypothesis import settings

from tests.support.examples import examples

settings.register_profile("properties", max_examples=examples(100), deadline=None)
settings.load_profile("properties")
