//! How long to wait before trying again.

use std::time::Duration;

/// The wait after the first failed run.
const FIRST: Duration = Duration::from_secs(5);

/// The wait after a run failed that followed `failures` others: 5 s · 2ⁿ, at most `longest`, ± 20 %.
pub(super) fn retry_delay(failures: u32, longest: Duration) -> Duration {
    let factor = 2_u32.saturating_pow(failures.min(16));
    spread(FIRST.saturating_mul(factor).min(longest))
}

/// This time, or up to a fifth less or more, so that what began together does not go on together.
pub(super) fn spread(time: Duration) -> Duration {
    time.mul_f64(0.8 + 0.4 * fraction())
}

/// A random number from 0 to 1. Without randomness from the system there is none, which does no harm.
fn fraction() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_hours(1);

    #[test]
    fn waits_double_up_to_an_hour_and_are_spread_by_a_fifth() {
        for (failures, seconds) in [(0, 5.0), (1, 10.0), (2, 20.0), (9, 2560.0), (10, 3600.0)] {
            for _ in 0..100 {
                let delay = retry_delay(failures, LONGEST).as_secs_f64();
                assert!((seconds * 0.8..=seconds * 1.2).contains(&delay), "{delay}");
            }
        }
        assert!(retry_delay(u32::MAX, LONGEST) <= LONGEST.mul_f64(1.2));
        let all: std::collections::HashSet<_> = (0..100).map(|_| retry_delay(0, LONGEST)).collect();
        assert!(all.len() > 50, "they are not spread");
    }
}
