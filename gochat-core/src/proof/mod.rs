//! Proof of work: what a stranger computes before a server spends anything on the stranger.
//!
//! A challenge is a text that any instance holding the key makes and verifies; no state is kept
//! until the challenge is used. The proof is the challenge, a dot and a counter such that the
//! SHA-256 of that text begins with as many zero bits as the challenge asks for.
//!
//! ```
//! use gochat_core::proof::{Challenge, Purpose, Solver, judge};
//!
//! # fn tag(_: &[u8]) -> [u8; 32] { [7; 32] }
//! let challenge = Challenge::new(Purpose::Guest, 8, 1_000, [1; 8])?;
//! let text = challenge.text(tag);
//! let proof = Solver::new(&text)?.run(1 << 20).expect("2^20 tries for 2^8 that are needed");
//! let genuine = |payload: &[u8], presented: &[u8]| tag(payload) == presented;
//! assert_eq!(judge(&proof, Purpose::Guest, 2_000, genuine), Ok(challenge));
//! # Ok::<(), gochat_core::error::Error>(())
//! ```

mod solver;
#[cfg(test)]
mod tests;

pub use solver::Solver;

use sha2::{Digest as _, Sha256};

use crate::error::{Error, ErrorCode, Result};
use crate::ids::UnixMillis;

/// Maximum difficulty in bits: some seconds for a program, about half a minute for a browser.
pub const MAX_DIFFICULTY: u8 = 24;
/// Life of a challenge in milliseconds; the proof of an older challenge is refused.
pub const LIFE_MS: u64 = 300_000;
/// Difference between the clocks of two instances that is put up with, in milliseconds.
pub const CLOCK_SLACK_MS: u64 = 60_000;
/// Bytes of a nonce.
pub const NONCE_BYTES: usize = 8;
/// Bytes of an authentication tag.
pub const TAG_BYTES: usize = 32;

const VERSION: u8 = 1;
/// Version, purpose, difficulty, six bytes of time, nonce.
const PAYLOAD_BYTES: usize = 9 + NONCE_BYTES;
/// Hexadecimal digits of a challenge. With a dot and the longest counter, the text fills two
/// blocks of SHA-256, of which the first never changes.
const TEXT_CHARS: usize = 2 * (PAYLOAD_BYTES + TAG_BYTES);
/// Digits of the longest counter.
const COUNTER_MAX_CHARS: usize = 20;

/// Purpose that a proof is bound to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Purpose {
    /// A guest account.
    Guest = 1,
}

impl Purpose {
    const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Guest),
            _ => None,
        }
    }
}

/// A task for one client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Challenge {
    purpose: Purpose,
    difficulty: u8,
    expires_at: UnixMillis,
    nonce: [u8; NONCE_BYTES],
}

impl Challenge {
    /// A challenge that is made at `now`.
    ///
    /// # Errors
    /// `INVALID_PARAMS` for a difficulty above [`MAX_DIFFICULTY`].
    pub fn new(
        purpose: Purpose,
        difficulty: u8,
        now: UnixMillis,
        nonce: [u8; NONCE_BYTES],
    ) -> Result<Self> {
        check_difficulty(difficulty)?;
        Ok(Self {
            purpose,
            difficulty,
            expires_at: now.saturating_add(LIFE_MS) & 0xffff_ffff_ffff,
            nonce,
        })
    }

    /// Zero bits that the hash of a proof begins with.
    pub const fn difficulty(&self) -> u8 {
        self.difficulty
    }

    /// First instant at which a proof is refused.
    pub const fn expires_at(&self) -> UnixMillis {
        self.expires_at
    }

    /// Nonce of the challenge: a proof is good once.
    pub const fn nonce(&self) -> [u8; NONCE_BYTES] {
        self.nonce
    }

    /// The text for the client: the payload and its authentication tag, which `tag` computes.
    pub fn text(&self, tag: impl FnOnce(&[u8]) -> [u8; TAG_BYTES]) -> String {
        let payload = self.payload();
        hex(&[payload.as_slice(), &tag(&payload)].concat())
    }

    fn payload(&self) -> [u8; PAYLOAD_BYTES] {
        let mut payload = [0; PAYLOAD_BYTES];
        let [_, _, time @ ..] = self.expires_at.to_be_bytes();
        payload[..3].copy_from_slice(&[VERSION, self.purpose as u8, self.difficulty]);
        payload[3..9].copy_from_slice(&time);
        payload[9..].copy_from_slice(&self.nonce);
        payload
    }

    fn from_payload(payload: &[u8]) -> Option<Self> {
        let (&[version, purpose, difficulty], rest) = payload.split_first_chunk()?;
        let (time, nonce) = rest.split_first_chunk::<6>()?;
        let expires_at = time.iter().fold(0, |n, byte| n << 8 | u64::from(*byte));
        (version == VERSION).then_some(Self {
            purpose: Purpose::from_byte(purpose)?,
            difficulty,
            expires_at,
            nonce: nonce.try_into().ok()?,
        })
    }
}

/// Refuses a difficulty above [`MAX_DIFFICULTY`].
///
/// # Errors
/// `INVALID_PARAMS`.
pub fn check_difficulty(difficulty: u8) -> Result<()> {
    if difficulty <= MAX_DIFFICULTY {
        return Ok(());
    }
    Err(Error::new(
        ErrorCode::InvalidParams,
        format!("A proof of work has at most {MAX_DIFFICULTY} bits."),
    ))
}

/// Judges a proof. `is_genuine` tells whether the second argument is the tag of the first. The
/// caller makes sure that the nonce is used once.
///
/// # Errors
/// `PROOF_REQUIRED` with what is wrong.
pub fn judge(
    proof: &str,
    purpose: Purpose,
    now: UnixMillis,
    is_genuine: impl FnOnce(&[u8], &[u8]) -> bool,
) -> Result<Challenge> {
    if proof.is_empty() {
        return Err(ErrorCode::ProofRequired.into());
    }
    let bytes = parse(proof).ok_or_else(|| refused("This is no proof of work"))?;
    let (payload, tag) = bytes.split_at(PAYLOAD_BYTES);
    let challenge = is_genuine(payload, tag)
        .then(|| Challenge::from_payload(payload))
        .flatten()
        .ok_or_else(|| refused("The challenge was not made here"))?;
    if challenge.purpose != purpose {
        return Err(refused("The challenge is for something else"));
    }
    let rest = challenge.expires_at.saturating_sub(now);
    if rest == 0 || rest > LIFE_MS + CLOCK_SLACK_MS {
        return Err(refused("The challenge has expired"));
    }
    let digest: [u8; 32] = Sha256::digest(proof.as_bytes()).into();
    if leading_zero_bits(&digest) < u32::from(challenge.difficulty) {
        return Err(refused("The proof does not solve its challenge"));
    }
    Ok(challenge)
}

/// The refusal of a proof that was used before.
pub fn used() -> Error {
    refused("The challenge was used before")
}

/// Zero bits at the beginning.
pub fn leading_zero_bits(bytes: &[u8]) -> u32 {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    let next = bytes.get(zeros).map_or(0, |byte| byte.leading_zeros());
    u32::try_from(zeros * 8).unwrap_or(u32::MAX) + next
}

/// The bytes of the challenge in a proof of the right form.
fn parse(proof: &str) -> Option<[u8; TEXT_CHARS / 2]> {
    let (text, counter) = proof.split_once('.')?;
    let is_counter =
        counter.len() <= COUNTER_MAX_CHARS && counter.bytes().all(|byte| byte.is_ascii_digit());
    if !is_counter || counter.parse::<u64>().is_err() {
        return None;
    }
    unhex(text)
}

fn refused(what: &'static str) -> Error {
    Error::new(
        ErrorCode::ProofRequired,
        format!("{what}; get another challenge and solve that one."),
    )
}

fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits
        .map(|digit| char::from_digit(u32::from(digit), 16).unwrap_or('0'))
        .collect()
}

fn unhex(text: &str) -> Option<[u8; TEXT_CHARS / 2]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() != TEXT_CHARS / 2 {
        return None;
    }
    let mut bytes = [0; TEXT_CHARS / 2];
    for (byte, [high, low]) in bytes.iter_mut().zip(pairs) {
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}
