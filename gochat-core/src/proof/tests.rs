//! What a proof must be, by properties.

use proptest::prelude::*;

use super::*;

/// A tag that depends on every byte of the payload; a stand-in for the keyed one.
fn tag(payload: &[u8]) -> [u8; TAG_BYTES] {
    Sha256::digest([b"key", payload].concat()).into()
}

fn genuine(payload: &[u8], presented: &[u8]) -> bool {
    tag(payload) == presented
}

fn solved(challenge: &Challenge) -> String {
    let mut solver = Solver::new(&challenge.text(tag)).unwrap();
    let enough = solver.enough_tries();
    solver.run(enough).expect("a proof")
}

fn refusal(proof: &str, now: UnixMillis) -> Error {
    let refusal = judge(proof, Purpose::Guest, now, genuine).unwrap_err();
    assert_eq!(refusal.code, ErrorCode::ProofRequired);
    refusal
}

proptest! {
    #[test]
    fn what_the_solver_finds_is_taken_while_the_challenge_lives(
        difficulty in 0_u8..9,
        now in 0_u64..1 << 47,
        nonce in any::<[u8; NONCE_BYTES]>(),
        age in 0_u64..LIFE_MS * 2,
    ) {
        let challenge = Challenge::new(Purpose::Guest, difficulty, now, nonce).unwrap();
        let outcome = judge(&solved(&challenge), Purpose::Guest, now + age, genuine);
        prop_assert_eq!(outcome.is_ok(), age < LIFE_MS);
        if let Ok(judged) = outcome {
            prop_assert_eq!(judged, challenge);
        }
    }

    #[test]
    fn a_challenge_from_the_future_is_refused(ahead in 0_u64..LIFE_MS) {
        let challenge = Challenge::new(Purpose::Guest, 0, 1_000_000 + ahead, [1; 8]).unwrap();
        let outcome = judge(&solved(&challenge), Purpose::Guest, 1_000_000, genuine);
        prop_assert_eq!(outcome.is_ok(), ahead <= CLOCK_SLACK_MS);
    }

    #[test]
    fn another_byte_makes_another_challenge(at in 0_usize..TEXT_CHARS, digit in 0_u32..16) {
        let challenge = Challenge::new(Purpose::Guest, 0, 1_000, [9; 8]).unwrap();
        let proof = solved(&challenge);
        let mut forged = proof.clone();
        let new = char::from_digit(digit, 16).unwrap();
        forged.replace_range(at..=at, new.encode_utf8(&mut [0; 4]));
        prop_assert_eq!(
            judge(&forged, Purpose::Guest, 1_000, genuine).is_ok(),
            forged == proof
        );
    }

    #[test]
    fn any_text_is_judged(text in ".{0,300}", now in any::<u64>()) {
        refusal(&text, now);
    }

    #[test]
    fn bits_are_counted_from_the_first(bytes in prop::collection::vec(any::<u8>(), 0..9)) {
        let bits: String = bytes.iter().map(|byte| format!("{byte:08b}")).collect();
        let zeros = bits.chars().take_while(|bit| *bit == '0').count();
        prop_assert_eq!(leading_zero_bits(&bytes) as usize, zeros);
    }

    #[test]
    fn a_search_may_be_interrupted(difficulty in 0_u8..9, step in 1_u64..50) {
        let challenge = Challenge::new(Purpose::Guest, difficulty, 1_000, [3; 8]).unwrap();
        let mut solver = Solver::new(&challenge.text(tag)).unwrap();
        let proof = std::iter::repeat_with(|| solver.run(step)).flatten().next();
        prop_assert_eq!(proof, Some(solved(&challenge)));
    }
}

#[test]
fn a_counter_that_solves_nothing_is_refused() {
    let challenge = Challenge::new(Purpose::Guest, 8, 1_000, [2; 8]).unwrap();
    let good = solved(&challenge);
    let text = challenge.text(tag);
    let wrong = (0..300).filter(|n| {
        let proof = format!("{text}.{n}");
        proof != good && judge(&proof, Purpose::Guest, 1_000, genuine).is_err()
    });
    assert!(wrong.count() > 290);
    for form in ["", ".", ".-1", ".1.2", ".18446744073709551616", ". 1"] {
        refusal(&format!("{text}{form}"), 1_000);
    }
}

#[test]
fn nobody_is_asked_for_more_than_the_maximum() {
    assert!(Challenge::new(Purpose::Guest, MAX_DIFFICULTY, 0, [0; 8]).is_ok());
    let above = MAX_DIFFICULTY + 1;
    assert!(Challenge::new(Purpose::Guest, above, 0, [0; 8]).is_err());
    let hostile = Challenge {
        difficulty: 255,
        ..Challenge::new(Purpose::Guest, 0, 0, [0; 8]).unwrap()
    };
    assert!(Solver::new(&hostile.text(tag)).is_err());
    assert!(Solver::new("00").is_err());
}

#[test]
fn the_text_and_a_proof_are_stable() {
    let challenge = Challenge::new(Purpose::Guest, 12, 1_700_000_000_000, [5; 8]).unwrap();
    let text = challenge.text(|_| [0xab; TAG_BYTES]);
    assert_eq!(
        text,
        format!("01010c018bcfe9fbe00505050505050505{}", "ab".repeat(32))
    );
    let mut solver = Solver::new(&text).unwrap();
    let proof = solver.run(1 << 20).unwrap();
    assert!(proof.len() <= 2 * 64 - 9, "two blocks of SHA-256");
    assert_eq!(proof, format!("{text}.364"));
}
