//! Names, labels and handles of the metrics of calls.

use std::borrow::Cow;
use std::sync::OnceLock;

use metrics::{Counter, Histogram, counter, histogram};
use tonic::Code;

/// The metrics of one side.
pub(super) struct Side {
    handled: &'static str,
    seconds: &'static str,
}

/// Calls made.
#[cfg(feature = "grpc")]
pub(super) const CLIENT: Side = Side {
    handled: "grpc_client_handled_total",
    seconds: "grpc_client_handling_seconds",
};

/// Calls served.
pub(super) const SERVER: Side = Side {
    handled: "grpc_server_handled_total",
    seconds: "grpc_server_handling_seconds",
};

impl Side {
    /// Counts and times a call.
    #[cfg(feature = "grpc")]
    pub(super) fn note(&self, path: &str, code: Code, seconds: f64) {
        self.timer(path, code).record(seconds);
        self.counter(path, code).increment(1);
    }

    fn timer(&self, path: &str, code: Code) -> Histogram {
        let (service, method) = labels(path, code);
        histogram!(self.seconds,
            "grpc_service" => service.into_owned(), "grpc_method" => method.into_owned())
    }

    fn counter(&self, path: &str, code: Code) -> Counter {
        let (service, method) = labels(path, code);
        counter!(self.handled, "grpc_service" => service.into_owned(),
            "grpc_method" => method.into_owned(), "grpc_code" => name(code))
    }
}

/// Kept handles of the metrics of one served method.
#[derive(Default)]
pub(super) struct Meters {
    handles: OnceLock<(Histogram, Counter)>,
}

impl Meters {
    /// Counts and times a call.
    pub(super) fn note(&self, path: &str, code: Code, seconds: f64) {
        let make = || (SERVER.timer(path, Code::Ok), SERVER.counter(path, Code::Ok));
        let (timer, succeeded) = self.handles.get_or_init(make);
        timer.record(seconds);
        match code {
            Code::Ok => succeeded.increment(1),
            _ => SERVER.counter(path, code).increment(1),
        }
    }
}

/// Service and method of a path. What nobody implements has no name here: callers could invent any
/// number of them.
fn labels(path: &str, code: Code) -> (Cow<'_, str>, Cow<'_, str>) {
    let known = path.trim_start_matches('/').split_once('/');
    match known.filter(|_| code != Code::Unimplemented) {
        Some((service, method)) => (service.into(), method.into()),
        None => ("unknown".into(), "unknown".into()),
    }
}

/// The name of a code, as in gRPC's own metrics.
fn name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "Canceled",
        Code::Unknown => "Unknown",
        Code::InvalidArgument => "InvalidArgument",
        Code::DeadlineExceeded => "DeadlineExceeded",
        Code::NotFound => "NotFound",
        Code::AlreadyExists => "AlreadyExists",
        Code::PermissionDenied => "PermissionDenied",
        Code::ResourceExhausted => "ResourceExhausted",
        Code::FailedPrecondition => "FailedPrecondition",
        Code::Aborted => "Aborted",
        Code::OutOfRange => "OutOfRange",
        Code::Unimplemented => "Unimplemented",
        Code::Internal => "Internal",
        Code::Unavailable => "Unavailable",
        Code::DataLoss => "DataLoss",
        Code::Unauthenticated => "Unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invented_methods_have_no_label_of_their_own() {
        let (service, method) = labels("/a.B/C", Code::Ok);
        assert_eq!((&*service, &*method), ("a.B", "C"));
        let (service, _) = labels("/made.Up/Name", Code::Unimplemented);
        assert_eq!(service, "unknown");
        assert_eq!(labels("nonsense", Code::Ok).0, "unknown");
    }
}
