//! Helm charts, rendered as Helm renders them.
