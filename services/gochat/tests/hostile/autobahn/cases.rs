//! The table. Groups 12 and 13 (compression) are not in it: no extension is agreed, see
//! `requests.rs`.

use super::{Case, Expected};
use crate::raw::masked;

/// Largest message the server takes.
const LIMIT: usize = 1 << 20;
const PROTOCOL: Expected = Expected::Closes(&[1002]);
const NOT_UTF8: Expected = Expected::Closes(&[1007]);
/// "Κόσμε", the suite's own text.
const COSMOS: &[u8] = "Hello-µ@ßöäüàá-UTF-8!! Κόσμε".as_bytes();

fn goes(answers: usize) -> Expected {
    Expected::Goes {
        answers,
        pongs: Vec::new(),
    }
}

fn pongs(pongs: &[&[u8]]) -> Expected {
    Expected::Goes {
        answers: 0,
        pongs: pongs.iter().map(|p| p.to_vec()).collect(),
    }
}

/// Every case.
pub(super) fn all() -> Vec<Case> {
    let mut table = Table(Vec::new());
    table.framing();
    table.pings();
    table.reserved();
    table.fragmentation();
    table.utf8();
    table.closing();
    table.limits();
    table.0
}

struct Table(Vec<Case>);

impl Table {
    fn add(&mut self, id: impl Into<String>, frames: &[Vec<u8>], chop: usize, expected: Expected) {
        self.0.push(Case {
            id: id.into(),
            bytes: frames.concat(),
            chop,
            expected,
        });
    }

    /// 1.1 text, 1.2 binary: lengths around every form of the length field, whole and in pieces.
    fn framing(&mut self) {
        let lengths = [0, 125, 126, 127, 128, 65_535, 65_536];
        for (group, opcode) in [("1.1", 0x81), ("1.2", 0x82)] {
            for (i, len) in lengths.into_iter().enumerate() {
                let frame = masked(opcode, &vec![b'*'; len]);
                self.add(format!("{group}.{}", i + 1), &[frame], 0, goes(1));
            }
            let frame = masked(opcode, &vec![b'*'; 65_536]);
            self.add(format!("{group}.8"), &[frame], 997, goes(1));
        }
    }

    /// 2: pings and pongs.
    fn pings(&mut self) {
        let big = [0xFE; 125];
        self.add("2.1", &[masked(0x89, b"")], 0, pongs(&[b""]));
        self.add(
            "2.2",
            &[masked(0x89, b"Hello, world!")],
            0,
            pongs(&[b"Hello, world!"]),
        );
        self.add(
            "2.3",
            &[masked(0x89, &[0, 255, 254, 253])],
            0,
            pongs(&[&[0, 255, 254, 253]]),
        );
        self.add("2.4", &[masked(0x89, &big)], 0, pongs(&[&big]));
        self.add("2.5", &[masked(0x89, &[0xFE; 126])], 0, PROTOCOL);
        self.add("2.6", &[masked(0x89, &big)], 1, pongs(&[&big]));
        self.add("2.7", &[masked(0x8A, b"")], 0, pongs(&[]));
        self.add("2.8", &[masked(0x8A, b"unsolicited")], 0, pongs(&[]));
        let pair = [masked(0x8A, b"unsolicited"), masked(0x89, b"ping")];
        self.add("2.9", &pair, 0, pongs(&[b"ping"]));
        let ten: Vec<_> = (0..10).map(|i| masked(0x89, &[b'0' + i])).collect();
        let answers: Vec<[u8; 1]> = (0..10).map(|i| [b'0' + i]).collect();
        let answers: Vec<&[u8]> = answers.iter().map(|a| &a[..]).collect();
        self.add("2.10", &ten, 0, pongs(&answers));
        self.add("2.11", &ten, 1, pongs(&answers));
    }

    /// 3: reserved bits; 4: reserved opcodes, also after a good message.
    fn reserved(&mut self) {
        for bits in 1..=7u8 {
            for (opcode, payload) in [(0x81, &b"small"[..]), (0x82, b"\x00\xFF"), (0x89, b"ping")] {
                let id = format!("3.{bits}/{opcode:x}");
                self.add(id, &[masked(opcode | bits << 4, payload)], 0, PROTOCOL);
            }
        }
        for opcode in (3..=7).chain(11..=15) {
            for payload in [&b""[..], b"reserved opcode payload"] {
                let frames = [masked(0x80 | opcode, payload), masked(0x89, b"")];
                self.add(
                    format!("4.{opcode}/{}", payload.len()),
                    &frames,
                    0,
                    PROTOCOL,
                );
            }
            self.add(
                format!("4.{opcode}/chopped"),
                &[masked(0x80 | opcode, b"x")],
                1,
                PROTOCOL,
            );
        }
        self.add(
            "4/unmasked",
            &[vec![0x81, 5], b"hello".to_vec()],
            0,
            PROTOCOL,
        );
    }

    /// 5: fragments, and control frames among them.
    fn fragmentation(&mut self) {
        let (a, b) = (b"fragment1", b"fragment2");
        self.add("5.1", &[masked(0x09, a), masked(0x80, b)], 0, PROTOCOL);
        self.add("5.2", &[masked(0x0A, a), masked(0x80, b)], 0, PROTOCOL);
        for (i, chop) in [0, 0, 1].into_iter().enumerate() {
            self.add(
                format!("5.{}", 3 + i),
                &[masked(0x01, a), masked(0x80, b)],
                chop,
                goes(1),
            );
        }
        let ping = masked(0x89, b"ping");
        let both = Expected::Goes {
            answers: 1,
            pongs: vec![b"ping".to_vec()],
        };
        for (i, chop) in [0, 0, 1].into_iter().enumerate() {
            let frames = [masked(0x01, a), ping.clone(), masked(0x80, b)];
            self.add(format!("5.{}", 6 + i), &frames, chop, both.clone());
        }
        for (i, (first, chop)) in [
            (0x80, 0),
            (0x80, 0),
            (0x80, 1),
            (0x00, 0),
            (0x00, 0),
            (0x00, 1),
        ]
        .into_iter()
        .enumerate()
        {
            let frames = [masked(first, b"non-continuation"), masked(0x81, b"Hello")];
            self.add(format!("5.{}", 9 + i), &frames, chop, PROTOCOL);
        }
        let frames = [
            masked(0x01, a),
            masked(0x80, b),
            masked(0x00, a),
            masked(0x81, b),
        ];
        self.add("5.15", &frames, 0, PROTOCOL);
        let frames = [masked(0x00, a), masked(0x01, a), masked(0x80, b)];
        self.add("5.16", &frames, 0, PROTOCOL);
        let frames = [masked(0x80, a), masked(0x01, a), masked(0x80, b)];
        self.add("5.17", &frames, 0, PROTOCOL);
        self.add("5.18", &[masked(0x01, a), masked(0x81, b)], 0, PROTOCOL);
        let part = |first| masked(first, a);
        let frames = [
            part(0x01),
            part(0x00),
            ping.clone(),
            part(0x00),
            part(0x00),
            ping,
            part(0x80),
        ];
        let expected = Expected::Goes {
            answers: 1,
            pongs: vec![b"ping".to_vec(); 2],
        };
        self.add("5.19", &frames, 0, expected.clone());
        self.add("5.20", &frames, 1, expected);
    }

    /// 6: UTF-8, whole and cut within a character.
    fn utf8(&mut self) {
        self.add("6.1.1", &[masked(0x81, b"")], 0, goes(1));
        let empty = [masked(0x01, b""), masked(0x00, b""), masked(0x80, b"")];
        self.add("6.1.2", &empty, 0, goes(1));
        let middle = [
            masked(0x01, b""),
            masked(0x00, b"middle"),
            masked(0x80, b""),
        ];
        self.add("6.1.3", &middle, 0, goes(1));
        self.add("6.2.1", &[masked(0x81, COSMOS)], 0, goes(1));
        let (head, tail) = COSMOS.split_at(7);
        self.add(
            "6.2.2",
            &[masked(0x01, head), masked(0x80, tail)],
            0,
            goes(1),
        );
        let mut bytes: Vec<_> = COSMOS.iter().map(|b| masked(0x00, &[*b])).collect();
        bytes[0][0] = 0x01;
        bytes.push(masked(0x80, b""));
        self.add("6.2.3", &bytes, 0, goes(1));
        self.add("6.2.4", &bytes, 1, goes(1));
        for (i, bad) in BAD.iter().enumerate() {
            self.add(format!("6.bad/{i}"), &[masked(0x81, bad)], 0, NOT_UTF8);
            let cut = bad.len() / 2;
            let frames = [masked(0x01, &bad[..cut]), masked(0x80, &bad[cut..])];
            self.add(format!("6.bad/{i}/cut"), &frames, 0, NOT_UTF8);
        }
        for (i, good) in GOOD.iter().enumerate() {
            self.add(format!("6.good/{i}"), &[masked(0x81, good)], 0, goes(1));
            let frames = [masked(0x01, &good[..1]), masked(0x80, &good[1..])];
            self.add(format!("6.good/{i}/cut"), &frames, 0, goes(1));
        }
    }

    /// 7: the closing handshake.
    fn closing(&mut self) {
        const NORMAL: Expected = Expected::Closes(&[1000]);
        let bye = masked(0x88, &1_000u16.to_be_bytes());
        self.add("7.1.1", &[masked(0x81, b"Hello"), bye.clone()], 0, NORMAL);
        self.add("7.1.2", &[bye.clone(), bye.clone()], 0, NORMAL);
        self.add("7.1.3", &[bye.clone(), masked(0x89, b"")], 0, NORMAL);
        self.add("7.1.4", &[bye.clone(), masked(0x81, b"Hello")], 0, NORMAL);
        let frames = [masked(0x01, b"fragment1"), bye, masked(0x80, b"fragment2")];
        self.add("7.1.5", &frames, 0, NORMAL);
        self.add(
            "7.3.1",
            &[masked(0x88, b"")],
            0,
            Expected::Closes(&[0, 1000]),
        );
        self.add("7.3.2", &[masked(0x88, b"a")], 0, PROTOCOL);
        let with = |code: u16, reason: &[u8]| masked(0x88, &[&code.to_be_bytes(), reason].concat());
        self.add("7.3.3", &[with(1000, b"")], 0, NORMAL);
        self.add("7.3.4", &[with(1000, b"Hello World!")], 0, NORMAL);
        self.add("7.3.5", &[with(1000, &[b'*'; 123])], 0, NORMAL);
        self.add("7.3.6", &[with(1000, &[b'*'; 124])], 0, PROTOCOL);
        self.add("7.5.1", &[with(1000, BAD[0])], 0, NOT_UTF8);
        for code in [
            1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
        ] {
            // "Clean close with normal or echoed code."
            const ECHO: Expected = Expected::Closes(&[
                1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999,
            ]);
            self.add(format!("7.7/{code}"), &[with(code, b"")], 0, ECHO);
        }
        for code in [
            0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65_535,
        ] {
            self.add(format!("7.9/{code}"), &[with(code, b"")], 0, PROTOCOL);
        }
    }

    /// 9 and 10: sizes up to the server's limit and beyond it.
    fn limits(&mut self) {
        for (i, len) in [64 << 10, 256 << 10, LIMIT].into_iter().enumerate() {
            for (group, opcode) in [("9.1", 0x81), ("9.2", 0x82)] {
                let frame = masked(opcode, &vec![b'*'; len]);
                self.add(format!("{group}.{}", i + 1), &[frame], 0, goes(1));
            }
            for (part, size) in [4 << 10, 64 << 10].into_iter().enumerate() {
                let mut frames: Vec<_> = (0..len / size)
                    .map(|_| masked(0x00, &vec![b'*'; size]))
                    .collect();
                frames[0][0] = 0x01;
                frames.push(masked(0x80, b""));
                self.add(format!("9.3.{i}.{part}"), &frames, 0, goes(1));
            }
        }
        const TOO_BIG: Expected = Expected::Closes(&[1009]);
        for (id, opcode) in [("9.1/beyond", 0x81), ("9.2/beyond", 0x82)] {
            self.add(id, &[masked(opcode, &vec![b'*'; LIMIT + 1])], 0, TOO_BIG);
        }
        let halves = [masked(0x01, &vec![b'*'; LIMIT]), masked(0x80, b"*")];
        self.add("9.3/beyond", &halves, 0, TOO_BIG);
        let frame = masked(0x81, &vec![b'*'; 65_536]);
        self.add("10.1.1", &[frame], 1_300, goes(1));
    }
}

/// Texts that are UTF-8: the edges of every length, and characters outside the basic plane.
const GOOD: &[&[u8]] = &[
    &[
        0xCE, 0xBA, 0xE1, 0xBD, 0xB9, 0xCF, 0x83, 0xCE, 0xBC, 0xCE, 0xB5,
    ],
    &[0x00, 0x00],
    &[0xC2, 0x80],
    &[0xE0, 0xA0, 0x80],
    &[0xF0, 0x90, 0x80, 0x80],
    &[0x7F, 0x7F],
    &[0xDF, 0xBF],
    &[0xEF, 0xBF, 0xBF],
    &[0xED, 0x9F, 0xBF],
    &[0xEE, 0x80, 0x80],
    &[0xEF, 0xBF, 0xBD],
    &[0xF4, 0x8F, 0xBF, 0xBF],
];

/// Texts that are not: lone continuations, cut and overlong characters, surrogates, values beyond
/// Unicode.
const BAD: &[&[u8]] = &[
    &[0xCE, 0xBA, 0xED, 0xA0, 0x80, 0x65, 0x64],
    &[0x80, 0x80],
    &[0xBF, 0x41],
    &[0xC2, 0x41],
    &[0xE0, 0xA0],
    &[0xF0, 0x90, 0x80],
    &[0xC0, 0xAF],
    &[0xE0, 0x80, 0xAF],
    &[0xF0, 0x80, 0x80, 0xAF],
    &[0xF8, 0x88, 0x80, 0x80, 0x80],
    &[0xFC, 0x84, 0x80, 0x80, 0x80, 0x80],
    &[0xC1, 0xBF],
    &[0xED, 0xA0, 0x80],
    &[0xED, 0xBF, 0xBF],
    &[0xED, 0xA0, 0x80, 0xED, 0xB0, 0x80],
    &[0xF4, 0x90, 0x80, 0x80],
    &[0xFE, 0xFE],
    &[0xFF, 0xFF],
];
