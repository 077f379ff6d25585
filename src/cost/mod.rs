//! What things cost: a table of prices with its date, and estimates from it. Asks nobody, knows no client.

pub mod estimate;
pub mod fleet;
pub mod prices;
