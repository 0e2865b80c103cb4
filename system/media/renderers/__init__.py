"""Small adapters that turn one scene into pixels."""
