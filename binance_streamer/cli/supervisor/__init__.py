"""supervisord: its generated file, its control socket, and its life in the foreground of `up` and `demo`.

Open `control` first.
"""
