"""HTTP pages of a long-running command for operators, and its metrics for Prometheus."""
