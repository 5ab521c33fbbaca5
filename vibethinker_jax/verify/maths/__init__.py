"""Whether an answer is the gold one."""
