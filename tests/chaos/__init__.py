"""The fault suite: real processes, faults at random moments, and the simulator's tape as the truth."""
