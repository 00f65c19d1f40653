"""Identifiers in the place of a patient's, from a secret. Knows nothing of files or of tags.

The same secret gives the same identifiers, so that two studies of one person stay together; without
the secret nobody finds the way back or the way there.
"""

import hmac
from dataclasses import dataclass, field
from uuid import UUID

SECRET_BYTES = 32


@dataclass(frozen=True)
class Pseudonyms:
    """Derives identifiers by HMAC-SHA256 (RFC 2104) from a secret that is never shown."""

    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if len(self.secret) != SECRET_BYTES:
            msg = f"expected a secret of {SECRET_BYTES} bytes, found {len(self.secret)}; make a key"
            raise ValueError(msg)

    def uid(self, uid: str) -> str:
        """Return another UID, made as PS3.5 B.2 has it; none for none."""
        return f"2.25.{UUID(bytes=self._digest('uid', uid)[:16], version=4).int}" if uid else ""

    def patient(self, patient_id: str) -> str:
        """Return another patient's identifier; none for none."""
        return f"P{self._digest('patient', patient_id).hex()[:16].upper()}" if patient_id else ""

    def _digest(self, kind: str, text: str) -> bytes:
        return hmac.digest(self.secret, f"{kind}:{text}".encode(), "sha256")
