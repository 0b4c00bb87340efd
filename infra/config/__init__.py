"""Reading `aither.toml`: what is configured, or every mistake in it with its line."""
