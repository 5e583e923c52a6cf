//! The configuration of property tests.

use proptest::{prelude::ProptestConfig, test_runner::RngSeed};

/// A few hundred inputs, the same ones on each run, so that a failure can be reproduced.
pub(crate) fn config() -> ProptestConfig {
    ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(42),
        ..ProptestConfig::with_cases(200)
    }
}
