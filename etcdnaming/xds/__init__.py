"""
Endpoints as xDS resources, for every gRPC client and for Envoy.

The modules of this room are shared by all xDS servers; each server is a room of its own below it.
"""
