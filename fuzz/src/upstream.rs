//! Records of `upstream`: any bytes are judged, and what is a message for us is one for protobuf.

use gochat_proto::mq::v1::UpstreamMessage;
use prost::Message as _;

/// Judges the bytes as a worker does.
pub(crate) fn run(bytes: &[u8]) {
    if im_logic::pipeline::is_submission(bytes) {
        let message = UpstreamMessage::decode(bytes).expect("a message is protobuf");
        assert!(!message.user_id.is_empty() && !message.content.is_empty());
    }
}
