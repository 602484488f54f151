"""The settings of all commands (where etcd is, how to log in), from flags and the environment."""
