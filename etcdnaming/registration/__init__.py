"""
Keep endpoints registered in etcd for as long as a block, or a process, runs.

`registration` is the public class. Its work is done by a `loop`, one step after another, in a
thread that all registrations of the client share (`client_registrations`). `rules` has the keys and
says what to do for each of their states, `reconciler` does that for many at once, `session_lease`
owns the lease, and `status` says what is reported.
"""
