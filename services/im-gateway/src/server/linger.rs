//! Closing while the peer still sends. A socket that is closed on top of unread bytes is reset, and
//! the reset overtakes the answer: the peer never learns why it was refused. So the gateway says
//! that it is done, reads on within bounds, and then closes (RFC 9112 section 9.6).

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use crate::config::Http;

/// Bytes read at a time.
const CHUNK: usize = 16 << 10;

/// Ends the sending half, then reads what the peer still sends until its end or a bound.
pub(super) async fn linger<S>(stream: &mut S, limits: &Http)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let work = async {
        // HTTP may have done so already.
        let _ = stream.shutdown().await;
        let mut left = limits.linger_bytes;
        let mut chunk = vec![0; CHUNK.min(left)];
        while left > 0 {
            let room = chunk.len().min(left);
            match stream.read(&mut chunk[..room]).await {
                Ok(0) | Err(_) => return,
                Ok(n) => left -= n,
            }
        }
    };
    let _ = tokio::time::timeout(Duration::from_millis(limits.linger_ms), work).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(bytes: usize) -> Http {
        Http {
            linger_bytes: bytes,
            linger_ms: 1_000,
            ..Http::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_with_the_peer_with_the_bytes_and_with_the_time() {
        let (mut near, far) = tokio::io::duplex(64);
        drop(far);
        let began = tokio::time::Instant::now();
        linger(&mut near, &limits(1_000)).await;

        let (mut near, mut far) = tokio::io::duplex(1 << 20);
        far.write_all(&[0; 5_000]).await.unwrap();
        linger(&mut near, &limits(1_000)).await;
        assert!(began.elapsed().is_zero());
        let mut rest = vec![0; 4_000];
        near.read_exact(&mut rest).await.unwrap();

        let (mut near, _far) = tokio::io::duplex(64);
        linger(&mut near, &limits(1_000)).await;
        assert_eq!(began.elapsed(), Duration::from_secs(1));
    }
}
