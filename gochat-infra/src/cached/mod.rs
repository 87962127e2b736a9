//! Cache-aside reads above the [`Cache`] port: one loader per key, remembered absence,
//! spread-out expiry, and a cache that is away costs time only.

mod owed;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use gochat_core::error::Result;
use hashbrown::HashMap;
use parking_lot::Mutex;
use rand::Rng as _;
use tokio::sync::OnceCell;

use self::owed::Owed;
use crate::port::cache::{Cache, Entry, FillToken, Lookup};

/// How long answers are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Lifetime of a value, before jitter.
    pub present: Duration,
    /// Lifetime of "there is no such thing", before jitter.
    pub absent: Duration,
}

/// A value and where it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The value; `None` when there is no such thing.
    pub value: Option<Bytes>,
    /// Whether no loader ran for it.
    pub from_cache: bool,
}

type Flight = Arc<OnceCell<Result<Option<Bytes>>>>;
type Flights = Mutex<HashMap<String, Flight>>;

/// Reads through a [`Cache`].
pub struct Cached {
    cache: Arc<dyn Cache>,
    flights: Flights,
    owed: Arc<Owed>,
}

impl Cached {
    /// Reads through this cache.
    pub fn new(cache: Arc<dyn Cache>) -> Self {
        Self {
            owed: Owed::new(cache.clone()),
            cache,
            flights: Flights::default(),
        }
    }

    /// The value of `key` from the cache or from `load`, which runs once for all callers
    /// that miss at the same time. If the caller that runs it goes away, another one's
    /// `load` takes over.
    ///
    /// # Errors
    /// Those of `load`; failures of the cache are logged and count as misses.
    pub async fn get_or_load<F, Fut>(&self, key: &str, keep: Keep, load: F) -> Result<Answer>
    where
        F: FnOnce() -> Fut,
        Fut: Future<Output = Result<Option<Bytes>>>,
    {
        // Asked before the look: the copy that is found may be gone and settled a moment later.
        let is_owed = self.owed.holds(key);
        let token = match self.cache.get(key).await {
            _ if is_owed => None,
            Ok(Lookup::Hit(stored)) => {
                count_looks(1, 0);
                return Ok(Answer {
                    value: unpack(stored),
                    from_cache: true,
                });
            }
            Ok(Lookup::Miss(token)) => Some(token),
            Err(error) => warn_miss(&error),
        };
        count_looks(0, 1);
        let flight = Boarding::join(&self.flights, key);
        let loaded = flight
            .cell
            .get_or_init(|| async {
                let loaded = load().await;
                if let (Ok(value), Some(token)) = (&loaded, token) {
                    self.fill(vec![(entry(key.to_owned(), value.as_ref(), keep), token)])
                        .await;
                }
                loaded
            })
            .await;
        Ok(Answer {
            value: loaded.clone()?,
            from_cache: false,
        })
    }

    /// The values of many keys; `load` is called once with the positions that missed and
    /// answers one entry per position, in order.
    ///
    /// # Errors
    /// Those of `load`.
    pub async fn get_or_load_many<F, Fut>(
        &self,
        keys: &[String],
        keep: Keep,
        load: F,
    ) -> Result<Vec<Answer>>
    where
        F: FnOnce(Vec<usize>) -> Fut,
        Fut: Future<Output = Result<Vec<Option<Bytes>>>>,
    {
        let owed: Vec<bool> = keys.iter().map(|key| self.owed.holds(key)).collect();
        let found = match self.cache.get_many(keys).await {
            Ok(found) => {
                let found = found.into_iter().zip(owed);
                let found = found.map(|(found, is_owed)| (!is_owed).then_some(found));
                found.collect()
            }
            Err(error) => {
                let _: Option<FillToken> = warn_miss(&error);
                vec![None; keys.len()]
            }
        };
        let mut answers = vec![
            Answer {
                value: None,
                from_cache: true
            };
            keys.len()
        ];
        let mut missing = Vec::new();
        let mut tokens = Vec::new();
        for (position, lookup) in found.into_iter().enumerate() {
            match lookup {
                Some(Lookup::Hit(stored)) => answers[position].value = unpack(stored),
                Some(Lookup::Miss(token)) => {
                    missing.push(position);
                    tokens.push(Some(token));
                }
                None => {
                    missing.push(position);
                    tokens.push(None);
                }
            }
        }
        count_looks(keys.len() - missing.len(), missing.len());
        if missing.is_empty() {
            return Ok(answers);
        }
        let loaded = load(missing.clone()).await?;
        let mut fills = Vec::with_capacity(missing.len());
        for ((position, token), value) in missing.into_iter().zip(tokens).zip(loaded) {
            if let Some(token) = token {
                fills.push((entry(keys[position].clone(), value.as_ref(), keep), token));
            }
            answers[position] = Answer {
                value,
                from_cache: false,
            };
        }
        self.fill(fills).await;
        Ok(answers)
    }

    /// Makes copies of these keys disappear: call it after the change is committed.
    /// Callers that come later don't join a load that began before.
    ///
    /// # Errors
    /// The cache is away: other processes may be served the old copy until the cache answers
    /// again. This process repeats the deletion until then and does not believe the old copy.
    pub async fn forget(&self, keys: &[String]) -> Result<()> {
        {
            let mut flights = self.flights.lock();
            for key in keys {
                flights.remove(key);
            }
        }
        let moment = self.owed.moment();
        if let Err(error) = self.cache.delete_many(keys).await {
            self.owed.add(keys);
            return Err(error);
        }
        self.owed.settle(keys, moment);
        count("evict", keys.len());
        Ok(())
    }

    async fn fill(&self, entries: Vec<(Entry, FillToken)>) {
        if let Err(error) = self.cache.fill_many(entries).await {
            tracing::warn!(%error, "cache is away; the answer was not kept");
        }
    }
}

/// Counts look-ups; an unreachable cache is a miss too.
fn count_looks(hits: usize, misses: usize) {
    count("hit", hits);
    count("miss", misses);
    if hits + misses > 0 {
        let mut recent = RECENT.lock();
        recent.look(hits, misses);
        metrics::gauge!("gochat_cache_hit_ratio").set(recent.ratio());
    }
}

/// Counts what happened to copies: `hit`, `miss`, `evict` (no room, or the original changed).
pub(crate) fn count(operation: &'static str, n: usize) {
    if n > 0 {
        metrics::counter!("gochat_cache_operations_total", "operation" => operation)
            .increment(n as u64);
    }
}

/// Look-ups of this process lately, for the ratio; a metric, and so as global as its recorder.
static RECENT: Mutex<Recent> = Mutex::new(Recent {
    hits: 0.0,
    all: 0.0,
});

/// Hits and look-ups, of which the newest [`Recent::SPAN`] or so count.
struct Recent {
    hits: f64,
    all: f64,
}

impl Recent {
    const SPAN: f64 = 1_000.0;

    fn look(&mut self, hits: usize, misses: usize) {
        let new = (hits + misses) as f64;
        let kept = (-new / Self::SPAN).exp();
        self.hits = self.hits * kept + hits as f64;
        self.all = self.all * kept + new;
    }

    fn ratio(&self) -> f64 {
        self.hits / self.all.max(1.0)
    }
}

fn warn_miss(error: &gochat_core::error::Error) -> Option<FillToken> {
    tracing::warn!(%error, "cache is away; reading from the source");
    None
}

/// A caller's place in a load. The last one to leave takes the load off the list, so that
/// abandoned loads don't pile up.
struct Boarding<'a> {
    flights: &'a Flights,
    key: &'a str,
    cell: Flight,
}

impl<'a> Boarding<'a> {
    fn join(flights: &'a Flights, key: &'a str) -> Self {
        let cell = flights.lock().entry_ref(key).or_default().clone();
        Self { flights, key, cell }
    }
}

impl Drop for Boarding<'_> {
    fn drop(&mut self) {
        let mut flights = self.flights.lock();
        // Given up under the lock, so that of two leaving callers one sees itself as the last.
        let cell = std::mem::take(&mut self.cell);
        let ours = flights
            .get(self.key)
            .is_some_and(|listed| Arc::ptr_eq(listed, &cell));
        // Landed loads go at once: their answer is in the cache, and joining them later
        // would serve an answer older than the join.
        if ours && (cell.initialized() || Arc::strong_count(&cell) <= 2) {
            flights.remove(self.key);
        }
        drop(cell);
    }
}

const ABSENT: u8 = 0;
const PRESENT: u8 = 1;

/// Stored form: one byte that tells presence, then the value.
fn pack(value: Option<&Bytes>) -> Bytes {
    match value {
        None => Bytes::from_static(&[ABSENT]),
        Some(value) => {
            let mut packed = BytesMut::with_capacity(1 + value.len());
            packed.put_u8(PRESENT);
            packed.put_slice(value);
            packed.freeze()
        }
    }
}

fn unpack(stored: Bytes) -> Option<Bytes> {
    (stored.first() == Some(&PRESENT)).then(|| stored.slice(1..))
}

fn entry(key: String, value: Option<&Bytes>, keep: Keep) -> Entry {
    let ttl = if value.is_some() {
        keep.present
    } else {
        keep.absent
    };
    let ttl = jittered(ttl, rand::rng().random_range(0.0..=1.0));
    Entry {
        key,
        value: pack(value),
        ttl,
    }
}

/// A lifetime spread by ±10 %, so that what was stored together doesn't expire together.
/// `dice` is a random number in 0..=1.
///
/// ```
/// use std::time::Duration;
/// use gochat_infra::cached::jittered;
/// assert_eq!(jittered(Duration::from_secs(100), 0.0), Duration::from_secs(90));
/// assert_eq!(jittered(Duration::from_secs(100), 1.0), Duration::from_secs(110));
/// ```
pub fn jittered(ttl: Duration, dice: f64) -> Duration {
    ttl.mul_f64(0.9 + 0.2 * dice.clamp(0.0, 1.0))
}
