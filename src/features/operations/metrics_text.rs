//! The text of the metrics, and how many of it are in memory at once.
//!
//! It is made anew for each request, and stays in memory until the client has taken it. Anyone may ask, no limit applies, and
//! a client of HTTP/2 that takes nothing can ask 32 times on each of its connections. So once [`MOST`] texts are held,
//! requests get the last one again, as long as it is not older than [`MAX_AGE`]: what is held grows with time, and no more
//! with the number of requests.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use bytes::Bytes;

/// How many texts are held, by clients that have not taken them yet, before one is sent to several.
const MOST: usize = 8;

/// For how long a text is sent to several.
const MAX_AGE: Duration = Duration::from_secs(1);

/// The texts that are in memory; clones share them.
#[derive(Clone, Default)]
pub(super) struct MetricsText {
    held: Arc<AtomicUsize>,
    last: Arc<Mutex<Option<(Instant, Bytes)>>>,
}

impl MetricsText {
    /// A new text, or the last one.
    pub(super) fn get<E>(&self, render: impl FnOnce() -> Result<String, E>) -> Result<Bytes, E> {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((made_at, text)) = &*last
            && self.held.load(Ordering::Relaxed) >= MOST
            && made_at.elapsed() < MAX_AGE
        {
            return Ok(text.clone());
        }
        let text = Bytes::from_owner(HeldText::new(render()?, &self.held));
        *last = Some((Instant::now(), text.clone()));
        Ok(text)
    }
}

/// A text that counts until it is dropped.
struct HeldText {
    text: String,
    held: Arc<AtomicUsize>,
}

impl HeldText {
    fn new(text: String, held: &Arc<AtomicUsize>) -> Self {
        held.fetch_add(1, Ordering::Relaxed);
        Self {
            text,
            held: Arc::clone(held),
        }
    }
}

impl AsRef<[u8]> for HeldText {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

impl Drop for HeldText {
    fn drop(&mut self) {
        self.held.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::HashSet, convert::Infallible};

    use super::*;

    fn get(texts: &MetricsText, number: usize) -> Bytes {
        let text = texts.get(|| Ok::<_, Infallible>(number.to_string()));
        text.unwrap()
    }

    #[test]
    fn clients_that_take_nothing_hold_a_few_texts_however_many_they_ask_for() {
        let texts = MetricsText::default();

        let held: Vec<_> = (0..1000).map(|number| get(&texts, number)).collect();

        let different: HashSet<_> = held.iter().collect();
        assert_eq!(different.len(), MOST);
        drop(held);
        assert_eq!(get(&texts, 1000), "1000");
        assert_eq!(get(&texts, 1001), "1001");
        assert_eq!(texts.held.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn a_text_that_is_taken_is_made_anew_each_time() {
        let texts = MetricsText::default();

        for number in 0..100 {
            assert_eq!(get(&texts, number), number.to_string());
        }
    }
}
