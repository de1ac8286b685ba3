"""The shell that the services share: journal, push and acknowledgement, process life, logs."""
