"""Reads recorded days, sealed or still being written, as one: frames of rows, bars, and order books at any instant.

`binance_streamer.days` has its names. It needs the extra `days`.
"""
