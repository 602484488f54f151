"""
What ``lease-register`` does: keep endpoints registered while a command runs.

The main thread decides everything, in a `Loop`: it handles signals, exits of commands, timers, and
what other threads post. `Entrypoint` starts things and reacts to changes, `Shutdown` ends them in
order. `RegistrationThread` calls the library, `HealthChecker` runs ``--check``, `Readiness` writes
the ready file and notifies systemd, and `Reporter` prints.
"""
