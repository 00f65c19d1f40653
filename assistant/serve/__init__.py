"""The API without the page: studies come in, drafts, answers and files go out."""
