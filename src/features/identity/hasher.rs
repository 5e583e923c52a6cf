//! Password hashing by scrypt: on threads that may block, and only so many at once.

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant},
};

use chassis_telemetry::{LATENCY_BUCKETS, register};
use prometheus::{Histogram, IntGauge, Registry, histogram_opts};
use scrypt::{
    Params, Scrypt,
    password_hash::{PasswordHasher, PasswordVerifier, phc},
};
use secrecy::{ExposeSecret, SecretString};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tracing::{Instrument, field::Empty};

use super::{
    Password, PasswordHash, PasswordPolicy,
    password_settings::{Cost, PasswordSettings},
};

/// Hashes passwords; clones share the queue.
#[derive(Clone)]
pub struct Hasher {
    slots: Arc<Semaphore>,
    wait: Duration,
    cost: Cost,
    dummy: PasswordHash,
    metrics: HashMetrics,
}

/// The metrics of hashing.
#[derive(Debug, Clone)]
pub struct HashMetrics {
    seconds: Histogram,
    queue: IntGauge,
}

impl HashMetrics {
    /// Registers the families.
    #[must_use]
    pub fn new(registry: &Registry) -> Self {
        let seconds = histogram_opts!(
            "password_hash_seconds",
            "Time a password hash took once it was its turn, in seconds.",
            LATENCY_BUCKETS.to_vec()
        );
        let queue = IntGauge::new(
            "password_hash_queue",
            "Requests waiting for their turn to hash.",
        );
        Self {
            seconds: register(registry, Histogram::with_opts(seconds)),
            queue: register(registry, queue),
        }
    }
}

/// Why a password was not hashed.
#[derive(Debug, thiserror::Error)]
pub enum HashError {
    /// Too many others were waiting.
    #[error("no slot for password hashing became free in time")]
    Busy,
    /// The algorithm refused, or its task died: a mistake of ours.
    #[error("password hashing failed: {0}")]
    Failed(String),
}

/// Whether a password was the right one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordMatch {
    /// It was not.
    Wrong,
    /// It was.
    Right {
        /// Its hash is cheaper than hashes are made now.
        outdated: bool,
    },
}

impl Hasher {
    /// Prepares the queue.
    ///
    /// # Panics
    ///
    /// When the system has no randomness to give.
    #[must_use]
    pub fn new(settings: &PasswordSettings, metrics: HashMetrics) -> Self {
        Self {
            slots: Arc::new(Semaphore::new(settings.concurrency)),
            wait: settings.wait,
            cost: settings.cost,
            dummy: dummy(settings.cost),
            metrics,
        }
    }

    /// Hashes a new password with a new salt.
    pub async fn hash(&self, password: Password) -> Result<PasswordHash, HashError> {
        let scrypt = Scrypt::new_with_params(params(self.cost));
        self.in_turn(move || {
            let hash = scrypt.hash_password(password.expose().as_bytes());
            let hash = hash.map_err(|error| HashError::Failed(error.to_string()))?;
            Ok(PasswordHash::new(hash.to_string()))
        })
        .await
    }

    /// Compares a password with a hash. Without one it takes as long, and is wrong.
    ///
    /// A hash that was made when hashes were cheaper takes about as long as one of today, or the time would tell that there
    /// is one: the work that is missing is done for nothing. It needs memory of its own, and getting that takes time that
    /// `loadtest/siege timing` can tell, so a hash of today has as much once more. Where the memory cost was changed, too,
    /// it is further off, because memory is faster where less of it is used. One that is dearer than today's takes longer,
    /// and nothing is done about that: the time of an address that nobody has would have to follow the dearest hash that is
    /// stored.
    pub async fn verify(
        &self,
        password: SecretString,
        hash: Option<PasswordHash>,
    ) -> Result<PasswordMatch, HashError> {
        // A password this long was never taken. Hashing what fits of it costs as much as any other.
        let fits = password.expose_secret().len() <= PasswordPolicy::MAX_BYTES;
        let known = hash.is_some() && fits;
        let hash = hash.filter(|_| fits).unwrap_or_else(|| self.dummy.clone());
        let cost = self.cost;
        self.in_turn(move || {
            let password = password.expose_secret().as_bytes();
            let password = &password[..password.len().min(PasswordPolicy::MAX_BYTES)];
            let parsed = phc::PasswordHash::new(hash.as_str())
                .map_err(|error| HashError::Failed(error.to_string()))?;
            let matches = Scrypt::new().verify_password(password, &parsed).is_ok();
            let made_at = cost_of(&parsed);
            match made_at.and_then(|made_at| made_at.shortfall(cost)) {
                Some(missing) => work_for_nothing(password, missing),
                None => get_memory_for_nothing(cost),
            }
            if !(matches && known) {
                return Ok(PasswordMatch::Wrong);
            }
            let outdated = made_at.is_none_or(|made_at| made_at.is_below(cost));
            Ok(PasswordMatch::Right { outdated })
        })
        .await
    }

    /// Waits for a slot, then works on a thread that may block.
    async fn in_turn<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, HashError> + Send + 'static,
    ) -> Result<T, HashError> {
        let span = tracing::info_span!(
            "password_hash",
            otel.status_code = Empty,
            queue_ms = Empty,
            error.r#type = Empty,
        );
        let traced = span.clone();
        async {
            let arrived = Instant::now();
            let slot = self.slot().await;
            let started = Instant::now();
            traced.record("queue_ms", (started - arrived).as_secs_f64() * 1000.0);
            let slot = slot.inspect_err(|_| {
                chassis_telemetry::fail(&traced);
                traced.record("error.type", "busy");
            })?;
            // The slot moves in: hashing goes on when the request is given up, and so must the bound.
            let outcome = tokio::task::spawn_blocking(move || {
                let outcome = work();
                drop(slot);
                outcome
            })
            .await;
            self.metrics
                .seconds
                .observe(started.elapsed().as_secs_f64());
            outcome.map_err(|error| HashError::Failed(error.to_string()))?
        }
        .instrument(span)
        .await
    }

    async fn slot(&self) -> Result<OwnedSemaphorePermit, HashError> {
        let _waiting = Waiting::begin(&self.metrics.queue);
        let slot = Arc::clone(&self.slots).acquire_owned();
        let slot = tokio::time::timeout(self.wait, slot).await;
        slot.map_err(|_| HashError::Busy)?
            .map_err(|_| HashError::Busy)
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hasher")
            .field("cost", &self.cost)
            .finish_non_exhaustive()
    }
}

/// Counted as waiting until dropped.
struct Waiting<'a>(&'a IntGauge);

impl<'a> Waiting<'a> {
    fn begin(queue: &'a IntGauge) -> Self {
        queue.inc();
        Self(queue)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.dec();
    }
}

fn params(cost: Cost) -> Params {
    Params::new(cost.log_n, cost.r, cost.p).expect("the settings were checked when they were read")
}

/// A hash that no password has: random bytes in the place of the result.
fn dummy(cost: Cost) -> PasswordHash {
    let mut random = [0; 48];
    getrandom::fill(&mut random).expect("the system has randomness");
    let (salt, output) = random.split_at(16);
    let params =
        phc::ParamsString::try_from(params(cost)).expect("checked parameters can be written");
    let salt = phc::Salt::new(salt).expect("16 bytes make a salt");
    let output = phc::Output::new(output).expect("32 bytes make an output");
    PasswordHash::new(format!("$scrypt${params}${salt}${output}"))
}

/// Takes as long as a hash of this cost.
fn work_for_nothing(password: &[u8], cost: Cost) {
    let Ok(params) = Params::new(cost.log_n, cost.r, cost.p) else {
        return;
    };
    let mut output = [0; 32];
    let done = scrypt::scrypt(password, b"for nothing", &params, &mut output);
    std::hint::black_box((done.is_ok(), output));
}

/// Takes as long as it takes such a hash to get its memory and to write all of it once.
fn get_memory_for_nothing(cost: Cost) {
    let Ok(bytes) = usize::try_from(cost.memory()) else {
        return;
    };
    let mut memory = vec![0_u8; bytes];
    memory.fill(1);
    std::hint::black_box(memory);
}

fn cost_of(hash: &phc::PasswordHash) -> Option<Cost> {
    let number = |name: &str| hash.params.get_decimal(name);
    Some(Cost {
        log_n: u8::try_from(number("ln")?).ok()?,
        r: number("r")?,
        p: number("p")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::features::identity::Email;

    fn hasher(log_n: u8) -> Hasher {
        hasher_at(Cost { log_n, r: 8, p: 1 })
    }

    fn hasher_at(cost: Cost) -> Hasher {
        let settings = PasswordSettings {
            min_length: 8,
            cost,
            concurrency: 1,
            wait: Duration::from_millis(0),
        };
        Hasher::new(&settings, HashMetrics::new(&Registry::new()))
    }

    fn password(text: &str) -> Password {
        let email = Email::parse("ada@example.com").unwrap();
        Password::parse(&text.into(), &email, &PasswordPolicy::new(8)).unwrap()
    }

    #[tokio::test]
    async fn only_the_same_password_is_right() {
        let hasher = hasher(4);
        let hash = hasher.hash(password("correct horse")).await.unwrap();

        let right = hasher
            .verify("correct horse".into(), Some(hash.clone()))
            .await
            .unwrap();
        let wrong = hasher
            .verify("Correct horse".into(), Some(hash))
            .await
            .unwrap();

        assert_eq!(right, PasswordMatch::Right { outdated: false });
        assert_eq!(wrong, PasswordMatch::Wrong);
    }

    #[tokio::test]
    async fn without_a_hash_everything_is_wrong() {
        assert_eq!(
            hasher(4).verify("anything".into(), None).await.unwrap(),
            PasswordMatch::Wrong
        );
    }

    #[tokio::test]
    async fn nothing_is_cut_off_before_it_is_compared() {
        let hasher = hasher(4);
        let typed = "x".repeat(72);
        let hash = hasher.hash(password(&typed)).await.unwrap();

        let longer = hasher
            .verify(format!("{typed}y").into(), Some(hash.clone()))
            .await
            .unwrap();
        let endless = hasher
            .verify("x".repeat(5000).into(), Some(hash))
            .await
            .unwrap();

        assert_eq!(
            (longer, endless),
            (PasswordMatch::Wrong, PasswordMatch::Wrong)
        );
    }

    #[tokio::test]
    async fn a_cheaper_hash_is_outdated_and_a_dearer_one_is_not() {
        let hash = hasher(5).hash(password("correct horse")).await.unwrap();

        let grown = hasher(6)
            .verify("correct horse".into(), Some(hash.clone()))
            .await
            .unwrap();
        let shrunk = hasher(4)
            .verify("correct horse".into(), Some(hash))
            .await
            .unwrap();

        assert_eq!(grown, PasswordMatch::Right { outdated: true });
        assert_eq!(shrunk, PasswordMatch::Right { outdated: false });
    }

    #[tokio::test]
    async fn a_hash_from_cheaper_times_takes_no_less_time_to_compare() {
        let cost = |p| Cost { log_n: 10, r: 8, p };
        let (before, now) = (hasher_at(cost(1)), hasher_at(cost(32)));
        let cheap = before.hash(password("correct horse")).await.unwrap();
        // The least of a few, so that what else the machine does counts for little.
        let time = async |hash: Option<PasswordHash>| {
            let mut least = Duration::MAX;
            for _ in 0..5 {
                let started = Instant::now();
                let compared = now.verify("battery staple".into(), hash.clone()).await;
                assert_eq!(compared.unwrap(), PasswordMatch::Wrong);
                least = least.min(started.elapsed());
            }
            least
        };

        let (known, unknown) = (time(Some(cheap)).await, time(None).await);

        assert!(known * 4 > unknown, "{known:?}, {unknown:?}");
    }

    #[tokio::test]
    async fn who_would_wait_too_long_is_turned_away() {
        let hasher = hasher(4);
        let _all = Arc::clone(&hasher.slots).acquire_owned().await.unwrap();

        let outcome = hasher.verify("anything".into(), None).await;

        assert!(matches!(outcome, Err(HashError::Busy)));
        assert_eq!(hasher.metrics.queue.get(), 0);
    }
}
