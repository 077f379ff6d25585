//! Drawing winners: fair, without repetition, and repeatable from its seed.

use std::collections::BTreeSet;

use crate::record::ResponseId;

/// Draws up to `count` different responses; the order in which they are handed in does not matter.
pub fn draw(responses: impl IntoIterator<Item = ResponseId>, count: usize, seed: u64) -> Vec<ResponseId> {
    let mut hat: Vec<ResponseId> = responses.into_iter().collect::<BTreeSet<_>>().into_iter().collect();
    let mut rng = fastrand::Rng::with_seed(seed);
    let drawn = count.min(hat.len());
    for place in 0..drawn {
        let other = rng.usize(place..hat.len());
        hat.swap(place, other);
    }
    hat.truncate(drawn);
    hat
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn responses(count: usize) -> Vec<ResponseId> {
        (0..count)
            .map(|browser| ResponseId::of("s", &browser.to_string()))
            .collect()
    }

    #[test]
    fn two_different_winners_are_drawn_of_many_and_fewer_of_fewer() {
        for (taking_part, expected) in [(0, 0), (1, 1), (2, 2), (3, 2), (500, 2)] {
            let winners = draw(responses(taking_part), 2, 7);
            assert_eq!(
                winners.iter().collect::<BTreeSet<_>>().len(),
                expected,
                "of {taking_part}"
            );
            assert!(winners.iter().all(|winner| responses(taking_part).contains(winner)));
        }
    }

    #[test]
    fn the_seed_decides_and_neither_order_nor_repetition_does() {
        let mut twice = responses(50);
        twice.reverse();
        twice.extend(responses(50));
        assert_eq!(draw(twice, 2, 7), draw(responses(50), 2, 7));
        assert_ne!(draw(responses(50), 2, 7), draw(responses(50), 2, 8));
    }

    #[test]
    fn everybody_wins_as_often_as_everybody_else() {
        const PEOPLE: usize = 20;
        const DRAWS: u64 = 20_000;
        let mut wins: BTreeMap<ResponseId, u32> = BTreeMap::new();
        for seed in 0..DRAWS {
            for winner in draw(responses(PEOPLE), 2, seed) {
                *wins.entry(winner).or_default() += 1;
            }
        }
        let expected = 2.0 * 20_000.0 / 20.0;
        let chi_square: f64 = wins
            .values()
            .map(|count| (f64::from(*count) - expected).powi(2) / expected)
            .sum();
        assert_eq!(wins.len(), PEOPLE);
        // 19 degrees of freedom: a fair draw exceeds 43.8 once in a thousand.
        assert!(chi_square < 43.8, "chi square {chi_square} over {wins:?}");
    }
}
