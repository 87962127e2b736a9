//! From a record key to a partition: murmur2, as the Java client of Kafka does it.
//!
//! `upstream` and `persist` must agree on the partition of a conversation, whoever produces
//! and through whichever adapter, so there is exactly one implementation.

/// The partition of a key: `toPositive(murmur2(key)) % partitions`.
///
/// # Panics
/// When `partitions` is zero: a topic without partitions can't be written to.
///
/// ```
/// use gochat_core::partition::of_key;
/// assert_eq!(of_key(b"world", 1), 0);
/// assert!(of_key(b"s_3_7", 12) < 12);
/// ```
pub fn of_key(key: &[u8], partitions: u32) -> u32 {
    (murmur2(key) & 0x7fff_ffff) % partitions
}

/// The 32-bit murmur2 hash with Kafka's seed.
pub fn murmur2(data: &[u8]) -> u32 {
    const SEED: u32 = 0x9747_b28c;
    const M: u32 = 0x5bd1_e995;
    let mut h = SEED ^ data.len() as u32;
    let (words, tail) = data.as_chunks::<4>();
    for word in words {
        let mut k = u32::from_le_bytes(*word).wrapping_mul(M);
        k = (k ^ (k >> 24)).wrapping_mul(M);
        h = h.wrapping_mul(M) ^ k;
    }
    if !tail.is_empty() {
        for (i, byte) in tail.iter().enumerate() {
            h ^= u32::from(*byte) << (8 * i);
        }
        h = h.wrapping_mul(M);
    }
    h = (h ^ (h >> 13)).wrapping_mul(M);
    h ^ (h >> 15)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_java_client() {
        // From org.apache.kafka.common.utils.UtilsTest.
        let vectors: [(&str, i32); 6] = [
            ("21", -973_932_308),
            ("foobar", -790_332_482),
            ("a-little-bit-long-string", -985_981_536),
            ("a-little-bit-longer-string", -1_486_304_829),
            (
                "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
                -58_897_971,
            ),
            ("abc", 479_470_107),
        ];
        for (text, expected) in vectors {
            assert_eq!(murmur2(text.as_bytes()) as i32, expected, "{text}");
        }
    }

    #[test]
    fn negative_hashes_lose_their_sign_not_their_value() {
        let expected = (-973_932_308i32 & 0x7fff_ffff) as u32 % 12;
        assert_eq!(of_key(b"21", 12), expected);
    }

    #[test]
    fn conversations_spread_over_all_partitions() {
        let mut hit = [0u32; 12];
        for n in 0..1200u32 {
            hit[of_key(format!("g_{n}").as_bytes(), 12) as usize] += 1;
        }
        assert!(hit.iter().all(|n| *n > 50), "{hit:?}");
    }
}
