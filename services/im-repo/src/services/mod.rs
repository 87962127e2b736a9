//! The gRPC services, one file or folder each.

pub(crate) mod audit;
pub(crate) mod conversation;
pub(crate) mod friend;
pub(crate) mod group;
pub(crate) mod key;
pub(crate) mod message;
pub(crate) mod online;
pub(crate) mod rate_limit;
pub(crate) mod sequence;
pub(crate) mod session;
pub(crate) mod user;

/// Declares the type behind a service: a handle on what all services share.
macro_rules! api {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub(crate) struct $name {
            shared: std::sync::Arc<$crate::shared::Shared>,
        }

        impl $name {
            pub(crate) fn new(shared: std::sync::Arc<$crate::shared::Shared>) -> Self {
                Self { shared }
            }
        }
    };
}

pub(crate) use api;
