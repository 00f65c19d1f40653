"""The topics that a question may have. Knows nothing of wordings."""

UNKNOWN = "not_measured"
UNCLEAR = "unclear"  # nothing measured is named, or nobody can tell what was asked
INSTRUCTIONS, WITH_INSTRUCTION = "instructions", "with_instruction"
PRIOR = "prior"
LESION = "lesion"  # lesions that are told one by one
LESION_PLACE = "lesion_place"  # where in the brain a lesion lies
HEAD_SIZE, OTHER_STRUCTURES = "head_size", "other_structures"
IDENTITY, OFF_TOPIC = "identity", "off_topic"
ACQUISITION = "acquisition"  # how the scan was made, found by words alone
INTERVAL = "interval"  # what a prediction interval is
REALITY, RATE = "reality", "rate"  # what of a change is asked
OF_TRUST = ("sure", "reliable")
OF_SIDES = ("sides", "asymmetry")
OF_RECORDS = ("volume", "size", *OF_TRUST)
ANSWERED = (*OF_RECORDS, "sides", PRIOR, "not_assessed", "asymmetry", INTERVAL, "summary")
DECLINED = (
    *(OTHER_STRUCTURES, "signal", "diagnosis", "treatment", "age", HEAD_SIZE, IDENTITY),
    UNKNOWN,
)
ASIDE = ("greeting", OFF_TOPIC, INSTRUCTIONS)
TOPICS = (*ANSWERED, *ASIDE, *DECLINED)
