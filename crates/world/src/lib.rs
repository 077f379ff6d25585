//! A local AWS and Kubernetes that answer the real clients' HTTP.
