//! The gRPC services and Kafka payloads of GoChat, generated from the `.proto` files beside this
//! crate with protox: no system `protoc` is needed.
//!
//! | module | Protobuf package | who serves or writes it |
//! |---|---|---|
//! | [`common::v1`] | `common.v1` | shared types and the error catalogue |
//! | [`im::gateway::v1`] | `im.gateway.v1` | im-gateway |
//! | [`im::logic::v1`] | `im.logic.v1` | im-logic |
//! | [`im::repo::v1`] | `im.repo.v1` | im-repo |
//! | [`mq::v1`] | `gochat.mq.v1` | values of the records on Kafka |
//!
//! The clients take any tower service, so the same client speaks over HTTP/2 or straight to a
//! server in the same process; this crate needs neither tonic's transport nor a runtime.
//!
//! Numbers, types and names never change: `wire.lock` and a test guard them.
//!
//! ```
//! use gochat_proto::mq::v1::{UpstreamKind, UpstreamMessage};
//! use prost::Message;
//!
//! let record = UpstreamMessage { client_msg_id: "c-1".into(), ..Default::default() };
//! let read = UpstreamMessage::decode(record.encode_to_vec().as_slice())?;
//! assert_eq!(read.kind(), UpstreamKind::Message);
//! # Ok::<(), prost::DecodeError>(())
//! ```
#![forbid(unsafe_code)]

/// The serialized `FileDescriptorSet` of every package, comments included, for gRPC reflection
/// and for printing records as JSON.
pub const FILE_DESCRIPTOR_SET: &[u8] =
    include_bytes!(concat!(env!("OUT_DIR"), "/gochat_descriptor.bin"));

/// Declares the module of one generated package.
///
/// The allows cover generated code only. It carries the comments of the `.proto` files, but the
/// generators add items without any, and its style is theirs to choose.
macro_rules! package {
    ($(#[$docs:meta])* $name:literal) => {
        $(#[$docs])*
        #[allow(missing_docs, unreachable_pub, clippy::all)]
        pub mod v1 {
            include!(concat!(env!("OUT_DIR"), "/", $name, ".rs"));
        }
    };
}

/// Types that several services share.
pub mod common {
    package!(
        /// Version 1.
        "common.v1"
    );
}

/// The services.
pub mod im {
    /// What im-gateway offers to the other services.
    pub mod gateway {
        package!(
            /// Version 1.
            "im.gateway.v1"
        );
    }

    /// What im-logic offers to im-gateway.
    pub mod logic {
        package!(
            /// Version 1.
            "im.logic.v1"
        );
    }

    /// What im-repo offers to im-logic, im-task and im-gateway.
    pub mod repo {
        package!(
            /// Version 1.
            "im.repo.v1"
        );
    }
}

// Generated code names its neighbours by package path: the nesting must be that of the packages.
mod gochat {
    /// Values of the records on Kafka.
    pub mod mq {
        package!(
            /// Version 1.
            "gochat.mq.v1"
        );
    }
}

pub use gochat::mq;
