use proptest::prelude::*;

use super::*;
use crate::session::machine::CloseCode;

const MASK: [u8; 4] = [0x37, 0xFA, 0x21, 0x3D];

/// A client frame with any first byte.
fn client(first: u8, payload: &[u8]) -> Vec<u8> {
    let (header, used) = encode_header(Opcode::Text, payload.len());
    let mut out = header[..used].to_vec();
    out[0] = first;
    out[1] |= 0x80;
    out.extend_from_slice(&MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m));
    out
}

/// Feeds everything at once and collects what comes out, owned.
fn decode_all(limits: &Limits, bytes: &[u8]) -> Result<(Vec<String>, usize), WireError> {
    let mut decoder = Decoder::new();
    let (mut bytes, mut out) = (bytes.to_vec(), Vec::new());
    loop {
        let decoded = decoder.decode(limits, &mut bytes)?;
        let consumed = decoded.consumed;
        let done = match decoded.item {
            Item::Message(message) => {
                out.push(format!("{message:?}"));
                false
            }
            Item::Incomplete { .. } => true,
        };
        bytes.drain(..consumed);
        if done {
            return Ok((out, bytes.len()));
        }
    }
}

fn error_of(bytes: &[u8]) -> WireError {
    let limits = Limits {
        max_message: 1000,
        max_fragments: 3,
    };
    decode_all(&limits, bytes).expect_err("the bytes break a rule")
}

#[test]
fn the_masked_example_of_the_rfc_is_decoded() {
    let mut bytes = [
        0x81, 0x85, 0x37, 0xFA, 0x21, 0x3D, 0x7F, 0x9F, 0x4D, 0x51, 0x58,
    ];
    let decoded = Decoder::new()
        .decode(&Limits::default(), &mut bytes)
        .unwrap();
    assert_eq!(decoded.consumed, 11);
    assert_eq!(decoded.item, Item::Message(Message::Text("Hello".into())));
}

#[test]
fn server_frames_have_the_bytes_of_the_rfc() {
    let mut text = Vec::new();
    encode_text(b"Hello", &mut text);
    assert_eq!(text, [0x81, 0x05, b'H', b'e', b'l', b'l', b'o']);
    assert_eq!(ping(b"Hi").as_bytes(), [0x89, 2, b'H', b'i']);
    assert_eq!(pong(b"Hi").as_bytes(), [0x8A, 2, b'H', b'i']);
    assert_eq!(
        close(1001, "bye").as_bytes(),
        [0x88, 5, 0x03, 0xE9, b'b', b'y', b'e']
    );
    assert_eq!(
        encode_header(Opcode::Binary, 256),
        ([0x82, 126, 1, 0, 0, 0, 0, 0, 0, 0], 4)
    );
    assert_eq!(
        encode_header(Opcode::Binary, 65536),
        ([0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0], 10)
    );
}

#[test]
fn a_close_reason_is_cut_on_a_character_boundary() {
    let frame = close(1001, &"ü".repeat(100));
    assert_eq!(frame.as_bytes().len(), 2 + 2 + 122);
    assert_eq!(ping(&[7; 300]).as_bytes().len(), 127);
}

#[test]
fn fragments_become_one_message_with_a_ping_in_between() {
    let mut bytes = client(0x01, b"Hel");
    bytes.extend(client(0x89, b"?"));
    bytes.extend(client(0x00, "lo ü".as_bytes()));
    bytes.extend(client(0x80, b""));
    let (items, rest) = decode_all(&Limits::default(), &bytes).unwrap();
    assert_eq!(items, ["Ping([63])", "Text(\"Hello ü\")"]);
    assert_eq!(rest, 0);
}

#[test]
fn an_idle_decoder_holds_nothing() {
    let mut decoder = Decoder::new();
    decoder
        .decode(&Limits::default(), &mut client(0x01, b"part"))
        .unwrap();
    assert!(decoder.held() >= 4);
    decoder
        .decode(&Limits::default(), &mut client(0x80, b"end"))
        .unwrap();
    assert_eq!(decoder.held(), 0);
    assert_eq!(size_of::<Decoder>(), size_of::<usize>());
}

#[test]
fn an_incomplete_frame_says_how_much_is_needed_and_stays_untouched() {
    let whole = client(0x82, &[9; 300]);
    for cut in 0..whole.len() {
        let mut part = whole[..cut].to_vec();
        let decoded = Decoder::new()
            .decode(&Limits::default(), &mut part)
            .unwrap();
        assert_eq!(decoded.consumed, 0);
        let Item::Incomplete { need } = decoded.item else {
            panic!("not complete at {cut}")
        };
        assert!(need > cut && need <= whole.len());
        assert_eq!(part, whole[..cut]);
    }
}

#[test]
fn every_broken_rule_has_its_error() {
    assert_eq!(error_of(&[0xC1, 0x80]), WireError::ReservedBits);
    assert_eq!(error_of(&[0x83, 0x80]), WireError::UnknownOpcode);
    assert_eq!(error_of(&[0x81, 0x05]), WireError::Unmasked);
    assert_eq!(error_of(&client(0x09, b"")), WireError::BadControlFrame);
    assert_eq!(
        error_of(&client(0x89, &[0; 126])),
        WireError::BadControlFrame
    );
    assert_eq!(
        error_of(&[0x81, 0xFE, 0, 125, 0, 0, 0, 0]),
        WireError::BadLength
    );
    let top_bit = [0x81, 0xFF, 0x80, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    assert_eq!(error_of(&top_bit), WireError::BadLength);
    assert_eq!(error_of(&client(0x80, b"x")), WireError::BadFragment);
    assert_eq!(
        error_of(&[client(0x01, b"x"), client(0x81, b"y")].concat()),
        WireError::BadFragment
    );
    assert_eq!(error_of(&client(0x81, &[b'x'; 1001])), WireError::TooBig);
    let two_halves = [client(0x01, &[b'x'; 600]), client(0x80, &[b'x'; 600])].concat();
    assert_eq!(error_of(&two_halves), WireError::TooBig);
    let drip = [
        client(0x01, b""),
        client(0, b""),
        client(0, b""),
        client(0, b""),
    ]
    .concat();
    assert_eq!(error_of(&drip), WireError::TooManyFragments);
    assert_eq!(error_of(&client(0x81, &[0xFF])), WireError::NotUtf8);
    assert_eq!(error_of(&client(0x88, &[3])), WireError::BadClose);
    assert_eq!(
        error_of(&client(0x88, &1005u16.to_be_bytes())),
        WireError::BadClose
    );
    assert_eq!(error_of(&client(0x88, &[3, 232, 0xFF])), WireError::NotUtf8);
}

#[test]
fn errors_close_with_the_code_of_the_rfc() {
    assert_eq!(WireError::TooBig.close_code(), CloseCode::TooBig);
    assert_eq!(WireError::NotUtf8.close_code(), CloseCode::InvalidData);
    assert_eq!(WireError::Unmasked.close_code(), CloseCode::Protocol);
    assert_eq!(WireError::TooManyFragments.close_code(), CloseCode::Policy);
}

#[test]
fn a_huge_claim_is_refused_before_its_bytes_arrive() {
    let claim = [0x82, 0xFF, 0, 0, 0, 0, 0, 0x20, 0, 0, 0, 0, 0, 0];
    assert_eq!(error_of(&claim), WireError::TooBig);
}

fn message() -> impl Strategy<Value = (bool, Vec<u8>, u8)> {
    let text = ".{0,200}".prop_map(|s| (true, s.into_bytes()));
    let binary = prop::collection::vec(any::<u8>(), 0..400).prop_map(|b| (false, b));
    (prop_oneof![text, binary], 1..5u8).prop_map(|((text, bytes), parts)| (text, bytes, parts))
}

fn encode_parts(text: bool, bytes: &[u8], parts: u8, out: &mut Vec<u8>) {
    let step = bytes.len().div_ceil(usize::from(parts)).max(1);
    let mut chunks = bytes.chunks(step).peekable();
    let mut first = if text { 0x01 } else { 0x02 };
    if bytes.is_empty() {
        out.extend(client(0x80 | first, b""));
    }
    while let Some(chunk) = chunks.next() {
        let fin = if chunks.peek().is_none() { 0x80 } else { 0 };
        out.extend(client(fin | first, chunk));
        first = 0;
    }
}

/// Feeds `bytes` in pieces the way a gateway does: one read buffer, leftovers kept aside.
fn feed(bytes: &[u8], cuts: &[usize]) -> Result<Vec<(bool, Vec<u8>)>, WireError> {
    let (mut decoder, mut left, mut out) = (Decoder::new(), Vec::new(), Vec::new());
    let mut cuts = cuts.iter().cycle();
    let mut bytes = bytes;
    while !bytes.is_empty() {
        let n = (*cuts.next().unwrap()).min(bytes.len());
        left.extend_from_slice(&bytes[..n]);
        bytes = &bytes[n..];
        loop {
            let decoded = decoder.decode(&Limits::default(), &mut left)?;
            let consumed = decoded.consumed;
            let done = match decoded.item {
                Item::Message(Message::Text(t)) => {
                    out.push((true, t.into_owned().into_bytes()));
                    false
                }
                Item::Message(Message::Binary(b)) => {
                    out.push((false, b.into_owned()));
                    false
                }
                Item::Message(_) => false,
                Item::Incomplete { .. } => true,
            };
            left.drain(..consumed);
            if done {
                break;
            }
        }
    }
    Ok(out)
}

proptest! {
    #[test]
    fn any_split_of_the_stream_gives_the_same_messages(
        messages in prop::collection::vec(message(), 0..6),
        cuts in prop::collection::vec(1usize..300, 1..20),
    ) {
        let mut bytes = Vec::new();
        for (text, payload, parts) in &messages {
            encode_parts(*text, payload, *parts, &mut bytes);
        }
        let sent: Vec<_> = messages.into_iter().map(|(text, payload, _)| (text, payload)).collect();
        prop_assert_eq!(feed(&bytes, &cuts).unwrap(), sent);
    }

    #[test]
    fn perturbed_bytes_never_panic(
        messages in prop::collection::vec(message(), 1..4),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cuts in prop::collection::vec(1usize..300, 1..8),
    ) {
        let mut bytes = Vec::new();
        for (text, payload, parts) in &messages {
            encode_parts(*text, payload, *parts, &mut bytes);
        }
        for (at, value) in flips {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let _ = feed(&bytes, &cuts);
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let _ = decode_all(&Limits { max_message: 300, max_fragments: 4 }, &bytes);
    }
}
