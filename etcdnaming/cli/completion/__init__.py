"""Shell completion: the scripts of the shells, and candidates from etcd."""
