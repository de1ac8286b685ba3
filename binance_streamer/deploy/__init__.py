"""Generated files: what supervisord and docker-compose start, made from the configuration.

In: `Config`. Out: texts, and for each process a digest of the settings that it reads. Open `supervisord` first.
"""
