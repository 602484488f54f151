"""
Endpoints held in etcd for as long as a block, or a process, runs.

`registration` is what programs see; `registrant` does its work, one step after another, in the
thread that `registrar` lends it; `rules` says what is done for each state a key can be in, and
`slots` does it to many keys at once.
"""
