"""The headless measuring client."""
