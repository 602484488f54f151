"""The xDS server that follows etcd for clients on this and other machines."""
