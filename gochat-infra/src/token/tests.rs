use gochat_core::ids::UserId;

use super::*;

const NOW: i64 = 1_700_000_000;
const ISSUER: &str = "im-logic";

fn claims() -> Claims {
    let user = UserId::new(7).expect("an id");
    Claims {
        user_id: user,
        kind: Kind::Access,
        jti: "1".into(),
        iat: NOW,
        exp: NOW + 60,
        iss: ISSUER.into(),
        sub: user,
        username: "ann".into(),
        is_guest: false,
        sid: Some(gochat_core::token::SessionId::new(9)),
        generation: 0,
    }
}

fn verifier(keys: &[(&str, &KeyPair)], remembered: u64) -> Verifier {
    let verifier = Verifier::new(ISSUER, remembered);
    verifier.replace(public(keys));
    verifier
}

fn public(keys: &[(&str, &KeyPair)]) -> Vec<VerifyingKey> {
    keys.iter()
        .map(|(kid, pair)| VerifyingKey::ed25519(kid, pair.public()).expect("a key"))
        .collect()
}

fn pair() -> KeyPair {
    KeyPair::generate().expect("randomness")
}

fn sign(kid: &str, pair: &KeyPair, claims: &Claims) -> String {
    Signer::ed25519(kid, pair).sign(claims).expect("a token")
}

#[test]
fn a_token_verifies_with_its_key_only() {
    let (one, two) = (pair(), pair());
    let token = sign("1", &one, &claims());
    for remembered in [0, 10] {
        let both = verifier(&[("1", &one), ("2", &two)], remembered);
        assert_eq!(*both.verify(&token, Kind::Access, NOW).unwrap(), claims());
        let forged = sign("1", &two, &claims());
        assert_eq!(
            both.verify(&forged, Kind::Access, NOW),
            Err(Refusal::Invalid)
        );
        let other = verifier(&[("2", &two)], remembered);
        assert_eq!(
            other.verify(&token, Kind::Access, NOW),
            Err(Refusal::UnknownKey)
        );
    }
}

#[test]
fn a_remembered_token_is_judged_like_a_new_one() {
    let key = pair();
    let token = sign("1", &key, &claims());
    let verifier = verifier(&[("1", &key)], 10);
    for _ in 0..2 {
        assert!(verifier.verify(&token, Kind::Access, NOW + 59).is_ok());
        assert_eq!(
            verifier.verify(&token, Kind::Access, NOW + 60),
            Err(Refusal::Expired)
        );
        assert_eq!(
            verifier.verify(&token, Kind::Refresh, NOW),
            Err(Refusal::Invalid)
        );
    }
    verifier.replace(public(&[("1", &key), ("2", &pair())]));
    assert!(verifier.verify(&token, Kind::Access, NOW).is_ok());
    verifier.replace(public(&[("2", &pair())]));
    assert_eq!(
        verifier.verify(&token, Kind::Access, NOW),
        Err(Refusal::UnknownKey),
        "a key that is gone takes its tokens along"
    );
}

#[test]
fn a_key_of_the_same_name_does_not_inherit_tokens() {
    let key = pair();
    let token = sign("1", &key, &claims());
    let verifier = verifier(&[("1", &key)], 10);
    assert!(verifier.verify(&token, Kind::Access, NOW).is_ok());
    verifier.replace(public(&[("1", &pair())]));
    assert_eq!(
        verifier.verify(&token, Kind::Access, NOW),
        Err(Refusal::Invalid)
    );
}

#[test]
fn a_public_key_is_no_secret_of_hs256() {
    let key = pair();
    let verifier = verifier(&[("1", &key)], 0);
    // The classic confusion: HMAC keyed with the public key, which is known to all.
    let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    header.kid = Some("1".into());
    let secret = jsonwebtoken::EncodingKey::from_secret(key.public());
    let token = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert_eq!(
        verifier.verify(&token, Kind::Access, NOW),
        Err(Refusal::Invalid)
    );
    let nameless = Signer::hs256(key.public()).sign(&claims()).unwrap();
    assert_eq!(
        verifier.verify(&nameless, Kind::Access, NOW),
        Err(Refusal::Unnamed)
    );
}

#[test]
fn unsigned_foreign_long_and_tampered_tokens_are_refused() {
    let key = pair();
    let verifier = verifier(&[("1", &key)], 10);
    let invalid = |token: &str| {
        assert_eq!(
            verifier.verify(token, Kind::Access, NOW),
            Err(Refusal::Invalid),
            "{token}"
        );
    };
    let good = sign("1", &key, &claims());
    let body = good.split('.').nth(1).unwrap();
    // {"alg":"none","typ":"JWT"}
    invalid(&format!("eyJhbGciOiJub25lIiwidHlwIjoiSldUIn0.{body}."));
    invalid("");
    invalid(&"x".repeat(9_999));
    invalid(&good[..good.len() - 2]);
    let foreign = Claims {
        iss: "evil".into(),
        ..claims()
    };
    invalid(&sign("1", &key, &foreign));
    let split = Claims {
        sub: UserId::new(8).unwrap(),
        ..claims()
    };
    invalid(&sign("1", &key, &split));
}

#[test]
fn hs256_verifies_with_the_shared_secret() {
    let verifier = Verifier::new(ISSUER, 0);
    let token = Signer::hs256(b"one secret").sign(&claims()).unwrap();
    assert_eq!(
        verifier.verify(&token, Kind::Access, NOW),
        Err(Refusal::NoKeys)
    );
    verifier.replace([VerifyingKey::hs256(b"one secret")]);
    assert!(verifier.verify(&token, Kind::Access, NOW).is_ok());
    verifier.replace([VerifyingKey::hs256(b"another secret")]);
    assert_eq!(
        verifier.verify(&token, Kind::Access, NOW),
        Err(Refusal::Invalid)
    );
}

#[test]
fn the_same_claims_give_the_same_token() {
    let key = pair();
    assert_eq!(sign("1", &key, &claims()), sign("1", &key, &claims()));
}

#[test]
fn a_sealed_key_opens_under_its_secret_and_name_only() {
    let sealing = SealingKey::derive(b"a secret").unwrap();
    let sealed = sealing.seal("1", b"private").unwrap();
    assert_eq!(sealing.open("1", &sealed).unwrap(), b"private");
    assert_eq!(sealing.open("2", &sealed), None);
    assert_eq!(sealing.open("1", &sealed[..5]), None);
    let other = SealingKey::derive(b"another secret").unwrap();
    assert_eq!(other.open("1", &sealed), None);
    let mut changed = sealed.clone();
    *changed.last_mut().unwrap() ^= 1;
    assert_eq!(sealing.open("1", &changed), None);
    assert_ne!(sealing.seal("1", b"private").unwrap(), sealed);
}

#[test]
fn hexadecimal_is_read_back() {
    assert_eq!(
        from_hex(&to_hex(&[0, 9, 171, 255])).unwrap(),
        [0, 9, 171, 255]
    );
    assert_eq!(from_hex("0"), None);
    assert_eq!(from_hex("zz"), None);
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert_eq!(hash_of("abc"), abc);
}

#[test]
fn a_token_that_was_signed_here_is_good_while_its_key_is_held_and_no_longer() {
    let pair = KeyPair::generate().unwrap();
    let signer = Signer::ed25519("1", &pair);
    let known = KnownTokens::new(10);
    let verifier = Verifier::with_known(ISSUER, Some(known.clone()));
    let key = || VerifyingKey::ed25519("1", pair.public()).unwrap();
    // The text is no token at all: only what is known can make it good.
    let note = || known.note_signed(&signer, "signed here", claims());
    note();
    let judge = || verifier.verify("signed here", Kind::Access, NOW);
    assert_eq!(judge().unwrap_err(), Refusal::NoKeys);
    verifier.replace([key()]);
    assert!(judge().is_ok());
    let refused = verifier.verify("signed here", Kind::Refresh, NOW);
    assert_eq!(refused.unwrap_err(), Refusal::Invalid);
    let late = verifier.verify("signed here", Kind::Access, i64::MAX);
    assert_eq!(late.unwrap_err(), Refusal::Expired);

    let other = KeyPair::generate().unwrap();
    verifier.replace([VerifyingKey::ed25519("2", other.public()).unwrap()]);
    assert!(judge().is_err());
    // A signer that finishes after its key was taken away changes nothing.
    note();
    assert!(judge().is_err());
}
