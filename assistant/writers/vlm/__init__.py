"""The vision-language writer: Gemma 3 with a SigLIP tower, held to the ledger by its grammar."""
