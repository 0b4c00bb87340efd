"""vLLM's model servers: profiles that say how one is started, and what fits on the card that it gets."""
