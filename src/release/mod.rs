//! Chart releases: charts collected, rendered, and expanded into nodes of the graph. It never calls a cluster.

pub mod expand;
pub mod render;

#[cfg(test)]
mod tests;
