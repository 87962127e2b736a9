//! Bytes of answers and of request bodies that are in memory: bounded over the whole process, and
//! per address.

use std::sync::Arc;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use gochat_core::error::{Error, ErrorCode};
use hashbrown::HashMap;
use http_body::Body as _;
use parking_lot::Mutex;

use super::addresses::AddressKey;
use crate::config::Http;
use crate::http::reply::ApiError;
use crate::metrics as names;

/// Smaller answers and bodies are not counted: the buffers of a connection are as large.
pub(crate) const SMALL: usize = 8 << 10;

/// The budget.
pub(crate) struct BodyBudget {
    max: usize,
    max_per_address: usize,
    held: Mutex<Sums>,
}

#[derive(Default)]
struct Sums {
    total: usize,
    by_address: HashMap<AddressKey, usize, ahash::RandomState>,
}

/// Bytes taken from the budget; given back when dropped.
pub(crate) struct Reservation {
    budget: Arc<BodyBudget>,
    key: AddressKey,
    bytes: usize,
}

/// Bytes of an answer together with their reservation. The kernel has taken them when nobody refers
/// to them any more.
struct Answer {
    bytes: Bytes,
    _reservation: Reservation,
}

impl AsRef<[u8]> for Answer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl BodyBudget {
    pub(crate) fn new(limits: &Http) -> Arc<Self> {
        Arc::new(Self {
            max: limits.max_held_bytes,
            max_per_address: limits.max_held_bytes_per_address,
            held: Mutex::default(),
        })
    }

    /// Takes bytes for an address.
    ///
    /// # Errors
    /// `SERVICE_UNAVAILABLE` when the process or the address holds as many as it may.
    pub(crate) fn take(
        self: &Arc<Self>,
        key: AddressKey,
        bytes: usize,
    ) -> Result<Reservation, ApiError> {
        let mut held = self.held.lock();
        let of_address = held.by_address.get(&key).copied().unwrap_or(0);
        // The first one always passes for its address: a limit below an answer's size must not
        // refuse it for ever.
        let fits = held.total.saturating_add(bytes) <= self.max
            && (of_address == 0 || of_address.saturating_add(bytes) <= self.max_per_address);
        if !fits {
            names::add(names::BODIES_REFUSED, 1);
            return Err(exhausted());
        }
        held.total += bytes;
        *held.by_address.entry(key).or_insert(0) += bytes;
        names::held_bytes(held.total);
        Ok(Reservation {
            budget: self.clone(),
            key,
            bytes,
        })
    }

    /// Whether nothing more can be taken for an address: an answer that can't be held must not be
    /// made.
    pub(crate) fn is_exhausted(&self, key: AddressKey) -> bool {
        let held = self.held.lock();
        held.total >= self.max || held.by_address.get(&key) >= Some(&self.max_per_address.max(1))
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        let mut held = self.budget.held.lock();
        held.total -= self.bytes;
        names::held_bytes(held.total);
        if let Some(sum) = held.by_address.get_mut(&self.key) {
            *sum -= self.bytes;
            if *sum == 0 {
                held.by_address.remove(&self.key);
            }
        }
    }
}

/// Refusal of a request whose answer would not fit.
pub(crate) fn exhausted() -> ApiError {
    let sentence = "Too many answers wait to be read; try again.";
    ApiError::from(Error::new(ErrorCode::ServiceUnavailable, sentence)).retry_after(1)
}

/// Ties an answer to a reservation of its size.
///
/// # Errors
/// See [`BodyBudget::take`].
pub(crate) async fn hold(
    budget: &Arc<BodyBudget>,
    key: AddressKey,
    answer: Response,
) -> Result<Response, ApiError> {
    let size = answer.body().size_hint().lower();
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    if size <= SMALL {
        return Ok(answer);
    }
    let reservation = budget.take(key, size)?;
    let (parts, body) = answer.into_parts();
    // Answers are made in one piece: this neither waits nor copies.
    let bytes = axum::body::to_bytes(body, usize::MAX)
        .await
        .map_err(|_| ErrorCode::Internal)?;
    let answer = Answer {
        bytes,
        _reservation: reservation,
    };
    Ok(Response::from_parts(
        parts,
        Body::from(Bytes::from_owner(answer)),
    ))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;

    fn budget(max: usize, per_address: usize) -> Arc<BodyBudget> {
        BodyBudget::new(&Http {
            max_held_bytes: max,
            max_held_bytes_per_address: per_address,
            ..Http::default()
        })
    }

    fn key(last: u8) -> AddressKey {
        IpAddr::from([10, 0, 0, last]).into()
    }

    #[test]
    fn an_address_can_not_use_up_what_is_for_all() {
        let budget = budget(100, 30);
        let first = budget.take(key(1), 20).unwrap();
        assert!(budget.take(key(1), 20).is_err());
        let other = budget.take(key(2), 30).unwrap();
        assert!(budget.is_exhausted(key(2)) && !budget.is_exhausted(key(1)));
        let more: Vec<_> = (3..=7)
            .map_while(|i| budget.take(key(i), 10).ok())
            .collect();
        assert_eq!(more.len(), 5);
        assert!(budget.take(key(9), 1).is_err() && budget.is_exhausted(key(9)));
        drop((first, other, more));
        assert_eq!(budget.held.lock().total, 0);
        assert!(budget.held.lock().by_address.is_empty());
    }

    #[tokio::test]
    async fn an_answer_is_held_until_its_bytes_are_gone() {
        let budget = budget(1 << 20, 1 << 20);
        let answer = Response::new(Body::from(vec![b'x'; 100_000]));
        let answer = hold(&budget, key(1), answer).await.unwrap();
        let bytes = axum::body::to_bytes(answer.into_body(), usize::MAX);
        let mut bytes = bytes.await.unwrap();
        assert_eq!((bytes.len(), budget.held.lock().total), (100_000, 100_000));
        let tail = bytes.split_off(90_000);
        drop(bytes);
        assert_eq!(budget.held.lock().total, 100_000, "a part is still held");
        drop(tail);
        assert_eq!(budget.held.lock().total, 0);
    }

    #[tokio::test]
    async fn small_answers_are_not_counted() {
        let budget = budget(0, 0);
        let answer = Response::new(Body::from(vec![b'x'; SMALL]));
        assert!(hold(&budget, key(1), answer).await.is_ok());
        let answer = Response::new(Body::from(vec![b'x'; SMALL + 1]));
        assert!(hold(&budget, key(1), answer).await.is_err());
    }
}
