"""The commands of `binance-streamer`: a function for each, its body in the same module. Open `up` first.

In: the options, and a loaded configuration. Out: text, and how the command ends.
"""
