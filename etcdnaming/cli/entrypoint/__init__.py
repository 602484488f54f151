"""
What `lease-register` does: endpoints that are registered while a command runs.

Everything is decided in one thread, the main one, in a `Loop`: signals, the ends of commands,
timers, and what other threads have found out. `Entrypoint` is the way up and what happens on the
plateau, `Ending` the way down; `Holder` has the registration, `Checker` the health of the service,
and `Readiness` tells whoever started us.
"""
