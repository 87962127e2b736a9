//! The PROXY protocol, versions 1 and 2: a proxy that only passes bytes on says first who the
//! client is.
//!
//! Exactly the header is read and nothing behind it, which belongs to TLS or HTTP.

use std::io;
use std::net::IpAddr;

use ppp::{v1, v2};
use tokio::io::{AsyncRead, AsyncReadExt as _};

/// Length of the fixed part of version 2: signature, command, family and the length of the rest.
const FIXED: usize = 16;
/// Maximum length of the rest of version 2 in bytes; addresses take up to 216, the remainder is
/// room for what proxies add.
const REST_MAX: usize = 2_048;
/// Maximum length of a line of version 1 in bytes.
const LINE_MAX: usize = 107;
/// Length of the shortest line of version 1, `PROXY UNKNOWN\r\n`.
const LINE_MIN: usize = 15;

/// Reads the header. `None` when the proxy speaks for itself, as for its own health checks.
///
/// # Errors
/// The stream ended, or what came is no such header.
pub(super) async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> io::Result<Option<IpAddr>> {
    let mut header = vec![0; LINE_MIN];
    stream.read_exact(&mut header).await?;
    if header.starts_with(v2::PROTOCOL_PREFIX) {
        header.push(stream.read_u8().await?);
        let rest = usize::from(u16::from_be_bytes([header[FIXED - 2], header[FIXED - 1]]));
        if rest > REST_MAX {
            return Err(bad("a header of version 2 that is too long"));
        }
        header.resize(FIXED + rest, 0);
        stream.read_exact(&mut header[FIXED..]).await?;
        return binary(&header);
    }
    if !header.starts_with(b"PROXY ") {
        return Err(bad("no header"));
    }
    while !header.ends_with(b"\r\n") {
        if header.len() == LINE_MAX {
            return Err(bad("a header of version 1 that is too long"));
        }
        header.push(stream.read_u8().await?);
    }
    line(&header)
}

fn binary(header: &[u8]) -> io::Result<Option<IpAddr>> {
    let header = v2::Header::try_from(header).map_err(|e| bad(&e.to_string()))?;
    if header.command == v2::Command::Local {
        return Ok(None);
    }
    Ok(match header.addresses {
        v2::Addresses::IPv4(addresses) => Some(addresses.source_address.into()),
        v2::Addresses::IPv6(addresses) => {
            Some(IpAddr::from(addresses.source_address).to_canonical())
        }
        v2::Addresses::Unix(_) | v2::Addresses::Unspecified => None,
    })
}

fn line(header: &[u8]) -> io::Result<Option<IpAddr>> {
    let header = v1::Header::try_from(header).map_err(|e| bad(&e.to_string()))?;
    Ok(match header.addresses {
        v1::Addresses::Tcp4(addresses) => Some(addresses.source_address.into()),
        v1::Addresses::Tcp6(addresses) => {
            Some(IpAddr::from(addresses.source_address).to_canonical())
        }
        v1::Addresses::Unknown => None,
    })
}

fn bad(what: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("PROXY protocol: {what}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is read, and what is left.
    async fn reads(bytes: &[u8]) -> (Result<Option<String>, io::ErrorKind>, Vec<u8>) {
        let mut stream = bytes;
        let outcome = read(&mut stream).await;
        let outcome = outcome.map(|a| a.map(|a| a.to_string()));
        (outcome.map_err(|e| e.kind()), stream.to_vec())
    }

    fn v2(command: u8, family: u8, rest: &[u8]) -> Vec<u8> {
        let mut header = v2::PROTOCOL_PREFIX.to_vec();
        header.extend([0x20 | command, family]);
        header.extend((rest.len() as u16).to_be_bytes());
        header.extend(rest);
        header
    }

    #[tokio::test]
    async fn both_versions_name_the_client_and_leave_the_rest() {
        let four = [1, 2, 3, 4, 10, 0, 0, 1, 0, 80, 1, 187];
        let mut six = vec![0x20, 1, 0x0d, 0xb8];
        six.extend([0; 28]);
        six.extend([0, 80, 1, 187]);
        let mut extended = four.to_vec();
        extended.extend([4, 0, 1, 42]);
        for (header, client) in [
            (v2(1, 0x11, &four), Some("1.2.3.4")),
            (v2(1, 0x11, &extended), Some("1.2.3.4")),
            (v2(1, 0x21, &six), Some("2001:db8::")),
            (v2(0, 0x00, &[]), None),
            (v2(1, 0x00, &[]), None),
            (
                b"PROXY TCP4 1.2.3.4 10.0.0.1 80 443\r\n".to_vec(),
                Some("1.2.3.4"),
            ),
            (
                b"PROXY TCP6 2001:db8::1 ::1 80 443\r\n".to_vec(),
                Some("2001:db8::1"),
            ),
            (b"PROXY UNKNOWN\r\n".to_vec(), None),
        ] {
            let bytes = [&header[..], b"GET / HTTP/1.1\r\n"].concat();
            let (read, rest) = reads(&bytes).await;
            assert_eq!(
                read,
                Ok(client.map(str::to_owned)),
                "{}",
                header.escape_ascii()
            );
            assert_eq!(rest, b"GET / HTTP/1.1\r\n");
        }
    }

    #[tokio::test]
    async fn what_is_no_header_is_refused() {
        let mut long = v2(1, 0x11, &[0; 12]);
        long[14] = 0xFF;
        let endless = [b"PROXY TCP4 ".to_vec(), vec![b'1'; 200]].concat();
        for bytes in [
            b"GET / HTTP/1.1\r\nhost: x\r\n\r\n".to_vec(),
            b"PROXY TCP4 x y 1 2\r\n".to_vec(),
            v2(7, 0x11, &[0; 12]),
            v2(1, 0x11, &[0; 3]),
            long,
            endless,
        ] {
            let (read, _) = reads(&bytes).await;
            assert_eq!(
                read,
                Err(io::ErrorKind::InvalidData),
                "{}",
                bytes.escape_ascii()
            );
        }
        let (read, _) = reads(b"PROXY TCP4 1.2.3.4").await;
        assert_eq!(read, Err(io::ErrorKind::UnexpectedEof));
    }
}
