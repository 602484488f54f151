"""
Endpoints of a target in etcd: register, remove, list and watch them.

Python's counterpart of ``go.etcd.io/etcd/client/v3/naming/endpoints``: the same keys, the same
values, so that Go and Python services find each other.
"""
