"""What every command takes: where etcd is and who we are, from flags and the environment."""
