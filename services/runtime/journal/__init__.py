"""The append-only log in front of the writer: what was appended survives the death of its process.

In: frames. Out: the same frames in order, after any crash, and where every stream stood. Open `journal` first; a file
is a list of `records`, in `segments`.
"""
