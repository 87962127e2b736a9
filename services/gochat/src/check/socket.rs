//! A plain WebSocket for the checker: whole text frames in, whole text frames out.

use std::io;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::bench::frames;
use crate::bench::plan::Connection;
use crate::bench::worker::{connect, upgrade};

/// A connection that stands.
pub(super) struct Socket {
    stream: TcpStream,
    buffer: Vec<u8>,
    close_code: Option<u16>,
}

impl Socket {
    pub(super) async fn open(server: &str, token: &str, device: &str) -> io::Result<Self> {
        let connection = Connection {
            server: server.to_owned(),
            source: None,
            token: token.to_owned(),
            device: device.to_owned(),
        };
        let stream = connect::connect(&connection).await?;
        let (stream, buffer) = upgrade::upgrade(stream, &connection).await?;
        Ok(Self {
            stream,
            buffer,
            close_code: None,
        })
    }

    /// The code the server closed it with, once it did.
    pub(super) const fn close_code(&self) -> Option<u16> {
        self.close_code
    }

    /// The next text; an error when the connection is over. Cancel-safe.
    pub(super) async fn next(&mut self) -> io::Result<String> {
        loop {
            while let Some((opcode, payload, used)) = frames::next(&self.buffer) {
                let payload = payload.to_vec();
                self.buffer.drain(..used);
                match opcode {
                    1 => return String::from_utf8(payload).map_err(io::Error::other),
                    8 => {
                        let code = payload.first_chunk().copied();
                        self.close_code = code.map(u16::from_be_bytes);
                        return Err(io::ErrorKind::ConnectionAborted.into());
                    }
                    9 => self.write(10, &payload).await?,
                    _ => {}
                }
            }
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    pub(super) async fn send(&mut self, text: &[u8]) -> io::Result<()> {
        self.write(1, text).await
    }

    async fn write(&mut self, opcode: u8, payload: &[u8]) -> io::Result<()> {
        let mut frame = Vec::with_capacity(payload.len() + 16);
        frames::push(opcode, payload, &mut frame);
        self.stream.write_all(&frame).await
    }
}
