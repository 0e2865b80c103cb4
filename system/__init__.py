"""The complete remote-rendering stack: signaling, orchestrator, worker and clients."""
