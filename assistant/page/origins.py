"""How a value was come by and whom its reference describes, in words. Knows no page.

A record names both in one phrase of English, which files keep as it is. What has no words here is
shown as the record says it; the names of models and persons stay as they are.
"""

from prompts import page

BY_HAND = "entered by hand by "  # of a method, before a name
BETWEEN = ", "  # a method and the model that it rests on


def method(phrase: str, language: str) -> str:
    """Say how a value was measured, derived or entered."""
    say = page.load(language)
    if phrase.startswith(BY_HAND):
        return say["method.entered"].format(name=phrase.removeprefix(BY_HAND))
    how, _, model = phrase.partition(BETWEEN)
    told = say.get(f"method.{how}", how)
    return say["method.by"].format(how=told, model=model) if model else told


def source(phrase: str, language: str) -> str:
    """Say whom or what a reference was taken from."""
    return page.load(language).get(f"source.{phrase}", phrase)
