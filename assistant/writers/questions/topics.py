"""The topics that a question may have. Knows nothing of wordings."""

UNKNOWN = "not_measured"
UNCLEAR = "unclear"  # nothing measured is named, or nobody can tell what was asked
INSTRUCTIONS, WITH_INSTRUCTION = "instructions", "with_instruction"
OF_RECORDS = ("volume", "size", "sure", "reliable")
ANSWERED = (*OF_RECORDS, "sides", "prior", "not_assessed", "asymmetry", "interval", "summary")
DECLINED = (
    *("other_structures", "signal", "diagnosis", "treatment", "age", "head_size", "identity"),
    UNKNOWN,
)
TOPICS = (*ANSWERED, "greeting", "off_topic", INSTRUCTIONS, *DECLINED)
