//! How properties are tested.

use proptest::{prelude::ProptestConfig, test_runner::RngSeed};

/// A few hundred inputs, the same ones each time: `scripts/fuzz` is there to find new ones.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(42),
        ..ProptestConfig::with_cases(200)
    }
}
