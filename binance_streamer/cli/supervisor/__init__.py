"""supervisord: its generated files, its control socket, and its life in the foreground or background.

Open `control` first.
"""
