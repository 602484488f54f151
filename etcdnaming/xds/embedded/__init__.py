"""
The xDS server inside a process, for the channels of `resolver`.

gRPC's own client-side load balancing follows xDS. So a channel that follows etcd is a genuine gRPC
channel to ``xds:``, and this server is where gRPC's core in the same process gets the endpoints.
"""
