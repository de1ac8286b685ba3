"""The demo: record a simulated exchange, and compare the files with the simulator's tape, cell by cell.

Open `simulator` first; the command itself is `cli.commands.demo`.
"""
