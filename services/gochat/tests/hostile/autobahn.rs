//! The cases of the Autobahn fuzzing client, by its groups and numbers, against a server that
//! doesn't echo: a text is answered with `error` or `pong`, so what counts is *that* it was
//! answered, and how a connection ends. The suite itself runs on Python 2 only.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use crate::raw::{PATIENCE, Raw, Server, masked};

mod cases;

/// What must come back.
#[derive(Debug, Clone, PartialEq)]
enum Expected {
    /// So many messages are answered, these pongs come, and the connection goes on.
    Goes { answers: usize, pongs: Vec<Vec<u8>> },
    /// The connection is closed with one of these codes (0: a close frame without a code).
    Closes(&'static [u16]),
}

/// One case: its number in the suite, what is sent in which pieces, and what must come back.
struct Case {
    id: String,
    bytes: Vec<u8>,
    /// Bytes per write; 0 writes everything at once.
    chop: usize,
    expected: Expected,
}

/// What came until the fence was answered or the connection was closed.
#[derive(Debug, Default)]
struct Seen {
    answers: usize,
    pongs: Vec<Vec<u8>>,
    close: Option<u16>,
}

async fn frame(raw: &mut Raw) -> std::io::Result<(u8, Vec<u8>)> {
    let mut head = [0; 2];
    raw.socket.read_exact(&mut head).await?;
    let len = match head[1] {
        126 => usize::from(raw.socket.read_u16().await?),
        127 => raw.socket.read_u64().await? as usize,
        n => usize::from(n),
    };
    let mut payload = vec![0; len];
    raw.socket.read_exact(&mut payload).await?;
    Ok((head[0], payload))
}

/// Sends the case and then a fence: a ping of the suite's own, which is answered after everything
/// before it.
async fn play(raw: &mut Raw, case: &Case) -> Seen {
    const FENCE: &[u8] = b"the fence";
    let size = if case.chop == 0 {
        usize::MAX
    } else {
        case.chop
    };
    for piece in case.bytes.chunks(size.min(case.bytes.len().max(1))) {
        // A server that has closed already may refuse the rest.
        if raw.socket.write_all(piece).await.is_err() {
            break;
        }
        if case.chop != 0 {
            tokio::task::yield_now().await;
        }
    }
    let _ = raw.socket.write_all(&masked(0x89, FENCE)).await;
    let mut seen = Seen::default();
    while let Ok((first, payload)) = frame(raw).await {
        match first {
            0x81 => seen.answers += 1,
            0x8A if payload == FENCE => break,
            0x8A => seen.pongs.push(payload),
            0x88 => {
                let code = payload.first_chunk().map_or(0, |c| u16::from_be_bytes(*c));
                seen.close = Some(code);
                break;
            }
            other => panic!("{}: frame {other:#x}", case.id),
        }
    }
    seen
}

fn holds(case: &Case, seen: &Seen) -> bool {
    match &case.expected {
        Expected::Goes { answers, pongs } => {
            seen.close.is_none() && seen.answers == *answers && seen.pongs == *pongs
        }
        Expected::Closes(codes) => seen.close.is_some_and(|code| codes.contains(&code)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cases_of_autobahn_pass() {
    let server = Server::start(&["gateway.websocket.sessions_per_user=1000"]).await;
    let token = server.guest().await;
    let cases = cases::all();
    let mut failed = Vec::new();
    for case in &cases {
        let mut raw = server.try_open(&token, None).await.expect("a socket");
        let seen = tokio::time::timeout(PATIENCE, play(&mut raw, case))
            .await
            .unwrap_or_default();
        if !holds(case, &seen) {
            failed.push(format!(
                "{}: expected {:?}, saw {seen:?}",
                case.id, case.expected
            ));
        }
    }
    assert!(cases.len() > 200, "{} cases", cases.len());
    assert!(
        failed.is_empty(),
        "{} of {}:\n{}",
        failed.len(),
        cases.len(),
        failed.join("\n")
    );
    server.never_panicked();
}
