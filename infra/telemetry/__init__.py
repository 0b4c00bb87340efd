"""What the processes tell of themselves: traces, metrics, and logs. All of it is off, or free, unless configured."""
