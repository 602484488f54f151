"""
Add, delete, list and watch the endpoints of a target in etcd.

The counterpart of Go's ``go.etcd.io/etcd/client/v3/naming/endpoints``, with the same keys and
values, so that Go and Python services find each other.
"""
