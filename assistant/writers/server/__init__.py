"""The writer that asks a server: any OpenAI-compatible one, held to the ledger as every writer."""
