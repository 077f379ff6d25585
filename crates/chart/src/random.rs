//! Chance that can be repeated: the same seed gives the same chart, so a plan shows what apply will do.

/// A stream of numbers that depends on nothing but its seed (`SplitMix64`).
pub(crate) struct Random {
    state: u64,
}

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Random { state: seed }
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `bound`, which is 0 only if `bound` is.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        // The bias of a remainder is below one in 2^50 for everything a chart asks for.
        if bound == 0 { 0 } else { self.next() % bound }
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next().to_le_bytes()[0]).collect()
    }
}
