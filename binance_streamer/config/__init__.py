"""The configuration: `config/streamer.yaml`, read strictly into typed structs.

In: a YAML file, and the files that it is based on. Out: `Config`, or `ConfigError` that names file and key. Open
`schema` first; docs/configuration.md lists every key.
"""
