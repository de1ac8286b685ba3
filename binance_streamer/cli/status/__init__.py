"""The snapshot of a recording as text: for `status`, and for the live table of `up` and `demo`.

In: status messages (`live`). Out: tables and lines (`screen`, `problems`). Open `live` first.
"""
