"""Messages, records, states, names and limits: pure values, no I/O."""
