"""What a process needs to run: its start, other processes, disks, flags, clocks. Knows nothing of models or recipes."""
