"""Seals days that are over: their daily files become Parquet in the lake, with a certificate of each day.

Open `app` first: the loop. `due` says which days are to be sealed, `day` seals one, `removal` takes away daily files.
"""
