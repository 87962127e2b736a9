//! The JSON of clients: any text is a frame or a refusal, and a frame survives being written again.

use gochat_core::session::frame::ClientFrame;

/// Parses the text; what was understood is written and parsed again.
pub(crate) fn run(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else {
        return;
    };
    match ClientFrame::parse(text) {
        Ok(frame) => {
            let mut written = Vec::new();
            frame.encode(&mut written);
            let written = String::from_utf8(written).expect("frames are text");
            let again = ClientFrame::parse(&written).expect("what was written is a frame");
            assert_eq!(again, frame);
        }
        Err(refusal) => {
            assert!(!refusal.error.message.is_empty());
            let id = refusal.client_msg_id.unwrap_or_default();
            assert!(id.len() <= bytes.len().max(1));
        }
    }
}
