//! The WebSocket handshake of a load or a check.

use std::fmt;
use std::io;

use tokio::net::TcpStream;

use super::super::plan::Connection;

/// Largest answer to a handshake that is read, in bytes.
const ANSWER_MAX: usize = 16_384;

/// The answer of a server that did not upgrade the connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    /// HTTP status.
    pub(crate) status: u16,
    /// The error code of the contract; empty where the answer named none.
    pub(crate) code: String,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, code } = self;
        write!(f, "the handshake was refused: {status} {code}")
    }
}

impl std::error::Error for Refused {}

impl Refused {
    /// What the server answered, if the error is an answer.
    pub(crate) fn of(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

/// Upgrades a connection; gives what the server sent right after the handshake, too.
///
/// # Errors
/// `Refused` inside, for every answer but `101`.
pub(crate) async fn upgrade(
    stream: TcpStream,
    connection: &Connection,
) -> io::Result<(TcpStream, Vec<u8>)> {
    send(&stream, &request(connection)).await?;
    let mut answer = Vec::with_capacity(512);
    loop {
        let is_over = read(&stream, &mut answer).await?;
        if let Some(head) = head_of(&answer) {
            if answer.starts_with(b"HTTP/1.1 101") {
                return Ok((stream, answer.split_off(head)));
            }
            if is_over || answer.len() >= head.saturating_add(body_len(&answer[..head])) {
                return Err(io::Error::other(refusal(&answer, head)));
            }
        }
        if is_over {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if answer.len() > ANSWER_MAX {
            return Err(io::Error::other("the answer to the handshake is too long"));
        }
    }
}

fn request(connection: &Connection) -> String {
    let Connection {
        server,
        token,
        device,
        ..
    } = connection;
    format!(
        "GET /ws?device={device} HTTP/1.1\r\nhost: {server}\r\nupgrade: websocket\r\n\
         connection: upgrade\r\nsec-websocket-version: 13\r\n\
         sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\nauthorization: Bearer {token}\r\n\r\n"
    )
}

async fn send(stream: &TcpStream, text: &str) -> io::Result<()> {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        stream.writable().await?;
        match stream.try_write(rest) {
            Ok(n) => rest = &rest[n..],
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// Reads what is there; whether the server has closed the connection.
async fn read(stream: &TcpStream, answer: &mut Vec<u8>) -> io::Result<bool> {
    loop {
        stream.readable().await?;
        match stream.try_read_buf(answer) {
            Ok(n) => return Ok(n == 0),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => {}
            Err(e) => return Err(e),
        }
    }
}

/// Where the body begins.
fn head_of(answer: &[u8]) -> Option<usize> {
    let end = answer.windows(4).position(|w| w == b"\r\n\r\n")?;
    Some(end + 4)
}

fn body_len(head: &[u8]) -> usize {
    let head = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut lines = head.lines();
    let len = lines.find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    len.unwrap_or(0)
}

fn refusal(answer: &[u8], head: usize) -> Refused {
    let status = answer.get(9..12).and_then(|s| std::str::from_utf8(s).ok());
    let body: serde_json::Value = serde_json::from_slice(&answer[head..]).unwrap_or_default();
    Refused {
        status: status.and_then(|s| s.parse().ok()).unwrap_or(0),
        code: body["code"].as_str().unwrap_or_default().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_tells_status_and_code() {
        let text =
            b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 24\r\n\r\n{\"code\":\"TOKEN_EXPIRED\"}";
        let head = head_of(text).unwrap();
        assert_eq!(body_len(&text[..head]), 24);
        let refused = refusal(text, head);
        assert_eq!((refused.status, &*refused.code), (401, "TOKEN_EXPIRED"));
        assert_eq!(
            Refused::of(&io::Error::other(refused.clone())),
            Some(&refused)
        );
    }

    #[test]
    fn an_answer_without_a_body_has_no_code() {
        let text = b"HTTP/1.1 503 Service Unavailable\r\n\r\n";
        let refused = refusal(text, head_of(text).unwrap());
        assert_eq!((refused.status, &*refused.code), (503, ""));
    }
}
