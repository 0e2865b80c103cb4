"""The render worker: sessions, pacing and the agent that serves them."""
