"""One look at a service from outside: whether it listens, whether it says that it is well."""
