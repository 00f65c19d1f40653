"""Codes of SNOMED CT concepts, checked by their digits. Knows nothing of what they mean."""

import re

CONCEPT = re.compile(r"[1-9][0-9]{2,14}[01]0[0-9]")  # 00 or 10 stands before the check digit
PERMUTED = (1, 5, 7, 6, 2, 8, 3, 0, 9, 4)  # Verhoeff 1969, as the SNOMED CT release guide has it
PERIOD = 8  # permutations until the first comes again


def check_code(code: object) -> None:
    """Refuse what is no SNOMED CT concept, 6 to 18 digits with Verhoeff's check digit.

    Raises ValueError.
    """
    if not isinstance(code, str) or not CONCEPT.fullmatch(code) or _remainder(code):
        msg = f"expected a SNOMED CT concept, 6 to 18 digits with their check digit, found {code!r}"
        raise ValueError(f"{msg}; look the code up in a SNOMED CT browser, or leave it out")


def _remainder(code: str) -> int:
    """Add the digits up in the dihedral group of order ten: 0 where the check digit is right."""
    remainder = 0
    for place, digit in enumerate(reversed(code)):
        value = int(digit)
        for _ in range(place % PERIOD):
            value = PERMUTED[value]
        rotation = (remainder + value if remainder < 5 else remainder - value) % 5
        remainder = rotation + 5 * ((remainder >= 5) != (value >= 5))
    return remainder
