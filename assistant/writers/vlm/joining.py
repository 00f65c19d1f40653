"""Several texts about one study become one draft. Knows nothing of models or of what they say."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from assistant.draft import Draft

OF_FIRST = ("first_statement_s",)  # of what the writing took: what is not added up


def joined(drafts: Sequence[Draft]) -> Draft:
    """Return one draft of those of a study's own text and of the texts on its comparison."""
    first, *others = drafts
    return replace(
        first,
        statements=tuple(said for draft in drafts for said in draft.statements),
        facts=_facts(first.facts, [draft.facts for draft in others]),
        failures=tuple(failure for draft in drafts for failure in draft.failures),
        took=_took([draft.took for draft in drafts if draft.took]),
    )


def _facts(first: Mapping[str, Any], others: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Add what the grammars of comparisons were, and what they had no room for."""
    facts = dict(first)
    if grammars := [other["grammar_sha256"] for other in others if "grammar_sha256" in other]:
        facts["comparison_grammar_sha256"] = grammars
    if left := [record for other in others for record in other.get("left_out", ())]:
        facts["left_out"] = [*facts.get("left_out", ()), *left]
    return facts


def _took(texts: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Add up what the writing of each text took."""
    if not texts:
        return {}
    found = {name: sum(text[name] for text in texts) for name in texts[0]}
    found |= {name: texts[0][name] for name in OF_FIRST}
    found["tokens_per_s"] = found["tokens"] / max(found["total_s"] - found["prefill_s"], 1e-9)
    return found
