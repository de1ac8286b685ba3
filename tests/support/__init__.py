"""What tests share: waiting, real processes, the simulator's tape, recorded files, golden books."""
