//! YAML as Go's Kubernetes tools read and write it.
