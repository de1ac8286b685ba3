"""The commands that work on recorded files: how days are named, checked, exported and played again.

In: the words of a command line. Out: lines, progress bars and an exit code. Open `words` first, which reads the words;
then one module a command: `verifying`, `exporting`, `replaying`. `files` and `distribution` are those of `latency`;
`opening` opens files as text, for it and for the demo.
"""
