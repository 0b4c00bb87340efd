"""Several shapes of one durable turn, measured side by side. `python -m benchmarks.designs`."""
