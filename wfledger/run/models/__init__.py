"""Workers that talk to a model themselves, through any OpenAI-compatible server."""
