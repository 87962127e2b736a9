//! What recognises a resend.

use crate::ids::UserId;
use crate::message::SYSTEM_ID_PREFIX;

/// A sender and a 128-bit fingerprint of the id the client chose for a message or a change; windows
/// keep 96 bits of it. One of them tells changes from messages, one tells messages of the system
/// from messages of people.
///
/// The sender is kept exactly: nobody can craft an id that collides with somebody else's. A
/// collision among one sender's own ids takes chance of about 2⁻⁷⁰ per window, or a sender who
/// wants to lose messages of their own. In return an entry is small and has one size.
///
/// The fingerprint depends on nothing but its input, so windows survive restarts.
///
/// ```
/// use gochat_core::ids::UserId;
/// use gochat_core::sequence::ClientKey;
/// let (a, b) = (UserId::new(1).unwrap(), UserId::new(2).unwrap());
/// assert_eq!(ClientKey::new(a, "c-1"), ClientKey::new(a, "c-1"));
/// assert_ne!(ClientKey::new(a, "c-1"), ClientKey::new(b, "c-1"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientKey {
    /// Author.
    pub sender: UserId,
    print: [u64; 2],
}

impl ClientKey {
    /// The key of a message. A client id that begins with [`SYSTEM_ID_PREFIX`] is one of the
    /// system's: [`Draft::check`](crate::message::Draft::check) refuses it to clients.
    pub fn new(sender: UserId, client_msg_id: &str) -> Self {
        let [first, rest] = fingerprint(client_msg_id.as_bytes());
        let marks = match client_msg_id.starts_with(SYSTEM_ID_PREFIX) {
            true => SYSTEM,
            false => 0,
        };
        Self {
            sender,
            print: [first, (rest & !(CHANGE | SYSTEM)) | marks],
        }
    }

    /// The key of a change of a message. Messages and changes of one author may share ids: their
    /// keys differ.
    ///
    /// ```
    /// use gochat_core::ids::UserId;
    /// use gochat_core::sequence::ClientKey;
    /// let a = UserId::new(1).unwrap();
    /// assert_ne!(ClientKey::new(a, "c-1"), ClientKey::of_change(a, "c-1"));
    /// ```
    pub fn of_change(sender: UserId, client_msg_id: &str) -> Self {
        let Self { sender, print } = Self::new(sender, client_msg_id);
        Self {
            sender,
            print: [print[0] ^ MIX[1], ((print[1] ^ MIX[0]) & !SYSTEM) | CHANGE],
        }
    }

    /// Whether it is the key of a change.
    ///
    /// ```
    /// use gochat_core::ids::UserId;
    /// use gochat_core::sequence::ClientKey;
    /// let a = UserId::new(1).unwrap();
    /// assert!(ClientKey::of_change(a, "c-1").is_change() && !ClientKey::new(a, "c-1").is_change());
    /// ```
    pub fn is_change(&self) -> bool {
        is_change(self.print[1] as u32)
    }

    /// Whether it is the key of a message that the system wrote.
    ///
    /// ```
    /// use gochat_core::ids::UserId;
    /// use gochat_core::sequence::ClientKey;
    /// let a = UserId::new(1).unwrap();
    /// assert!(ClientKey::new(a, "system:1-5").is_system() && !ClientKey::new(a, "c-1").is_system());
    /// assert!(!ClientKey::of_change(a, "system:1-5").is_system());
    /// ```
    pub fn is_system(&self) -> bool {
        is_system(self.print[1] as u32)
    }

    /// A well mixed hash for tables.
    pub(super) fn hash(&self) -> u64 {
        hash(self.sender, self.print[0])
    }

    /// The 96 bits of the fingerprint that a window keeps.
    pub(super) fn parts(&self) -> (u64, u32) {
        (self.print[0], self.print[1] as u32)
    }
}

/// Bit of a fingerprint that tells changes from messages; windows keep it.
const CHANGE: u64 = 1;

/// Bit of a fingerprint that tells messages of the system from messages of people.
const SYSTEM: u64 = 2;

/// Whether the rest of a fingerprint, as windows keep it, is that of a message of the system.
pub(super) fn is_system(print_rest: u32) -> bool {
    u64::from(print_rest) & SYSTEM != 0
}

/// Whether the rest of a fingerprint, as windows keep it, is that of a change.
pub(super) fn is_change(print_rest: u32) -> bool {
    u64::from(print_rest) & CHANGE != 0
}

/// A well mixed hash of an author and the first half of a fingerprint.
pub(super) fn hash(sender: UserId, print: u64) -> u64 {
    print ^ sender.get().wrapping_mul(MIX[4])
}

/// Odd constants from the digits of π, as usual for mixers.
const MIX: [u64; 6] = [
    0x243f_6a88_85a3_08d3,
    0x1319_8a2e_0370_7345,
    0xa409_3822_299f_31d1,
    0x082e_fa98_ec4e_6c89,
    0x4528_21e6_38d0_1377,
    0xbe54_66cf_34e9_0c6d,
];

/// Two lanes of folded multiplication over 16-byte blocks; the length is mixed in at the end, so
/// zero padding of the last block is harmless.
fn fingerprint(bytes: &[u8]) -> [u64; 2] {
    let (mut a, mut b) = (MIX[4], MIX[5]);
    for chunk in bytes.chunks(16) {
        let mut block = [0u8; 16];
        block[..chunk.len()].copy_from_slice(chunk);
        let word = u128::from_le_bytes(block);
        let (low, high) = (word as u64, (word >> 64) as u64);
        (a, b) = (
            fold(low ^ MIX[0], high ^ a) ^ b,
            fold(high ^ MIX[1], low ^ b) ^ a.rotate_left(32),
        );
    }
    let length = bytes.len() as u64;
    [
        fold(a ^ length, b ^ MIX[2]),
        fold(b ^ length, a.rotate_left(17) ^ MIX[3]),
    ]
}

fn fold(x: u64, y: u64) -> u64 {
    let product = u128::from(x) * u128::from(y);
    product as u64 ^ (product >> 64) as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn similar_ids_have_different_fingerprints() {
        let mut seen = HashSet::new();
        let mut halves = (HashSet::new(), HashSet::new());
        for n in 0..50_000u32 {
            for text in [format!("{n}"), format!("0192f0c4-7e3a-7b1c-9d2e-{n:012x}")] {
                let print = fingerprint(text.as_bytes());
                assert!(seen.insert(print), "{text}");
                halves.0.insert(print[0]);
                halves.1.insert(print[1]);
            }
        }
        assert_eq!(
            halves.0.len(),
            seen.len(),
            "each half alone tells them apart"
        );
        assert_eq!(halves.1.len(), seen.len());
    }

    #[test]
    fn trailing_zero_bytes_and_length_count() {
        let prints: HashSet<_> = (0..40).map(|n| fingerprint(&vec![0u8; n])).collect();
        assert_eq!(prints.len(), 40);
    }
}
