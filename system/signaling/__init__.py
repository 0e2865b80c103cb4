"""The signaling server: client and worker endpoints, relay and edits."""
