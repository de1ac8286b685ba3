"""One-line commands over a control socket, and the faults that they cause. Open `commands` first."""
