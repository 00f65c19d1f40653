"""What a question was found to ask. Knows nothing of how that is found, or of answers."""

from dataclasses import dataclass

from segment.measurement import Measurement


@dataclass(frozen=True)
class Asked:
    """What is asked and of which records; none where the topic is of none or nothing was named.

    ``besides`` are topics of other sentences, which nobody measured: each wants to be told so.
    ``rules`` are those that a question about criteria names, ``of_change`` what is asked of a
    change: its reality, its rate, or nothing of the kind. ``is_of_enhancement`` is what asks for
    lesions that take up contrast, which not every exam of lesions looks for.
    """

    topic: str
    records: tuple[Measurement, ...] = ()
    besides: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    of_change: str | None = None
    is_of_enhancement: bool = False
