"""The newest status messages as tables: for `status`, and for the live table of `up` and `demo`."""
