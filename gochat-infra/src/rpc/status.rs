//! Error catalogue ↔ gRPC status.
//!
//! A status carries `google.rpc.Status` details with two entries: `google.rpc.ErrorInfo`
//! (reason = string code, domain = `gochat`), which tells codes apart that share a number, and
//! `common.v1.ErrorResponse` as the contract asks.

use gochat_core::error::{Error, ErrorCode};
use gochat_proto::common::v1::ErrorResponse;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::pb;

const DOMAIN: &str = "gochat";
/// Key of [`Error::retry_after_ms`] in the metadata of `ErrorInfo`.
const RETRY_AFTER: &str = "retry_after_ms";
const ERROR_INFO_URL: &str = "type.googleapis.com/google.rpc.ErrorInfo";
const ERROR_RESPONSE_URL: &str = "type.googleapis.com/common.v1.ErrorResponse";

/// The gRPC status of a refusal, with details.
///
/// ```
/// use gochat_core::error::{Error, ErrorCode};
/// use gochat_infra::rpc::{error_from, status_from};
/// let refusal = Error::from(ErrorCode::MemberMuted);
/// assert_eq!(error_from(&status_from(&refusal)), refusal);
/// ```
pub fn status_from(error: &Error) -> Status {
    let wait = (error.retry_after_ms > 0)
        .then(|| (RETRY_AFTER.to_owned(), error.retry_after_ms.to_string()));
    let info = pb::ErrorInfo {
        reason: error.code.code().to_owned(),
        domain: DOMAIN.to_owned(),
        metadata: wait.into_iter().collect(),
    };
    let response = ErrorResponse {
        code: error.code.number(),
        message: error.message.clone().into_owned(),
        reason: error.code.code().to_owned(),
        retryable: error.is_retryable(),
        ..Default::default()
    };
    let code = Code::from(error.code.grpc() as i32);
    let details = pb::Status {
        code: code as i32,
        message: error.message.clone().into_owned(),
        details: vec![
            any(ERROR_INFO_URL, &info),
            any(ERROR_RESPONSE_URL, &response),
        ],
    };
    Status::with_details(code, error.message.clone(), details.encode_to_vec().into())
}

/// The refusal behind a status; statuses without our details map by their gRPC code.
pub fn error_from(status: &Status) -> Error {
    match refusal(status) {
        Some((code, wait)) => Error::new(code, status.message().to_owned()).after(wait),
        None => Error::from(code_of(status.code())),
    }
}

/// Whether a service gave this status as a refusal of the catalogue, rather than something on the way.
#[cfg(feature = "grpc")]
pub(super) fn is_refusal(status: &Status) -> bool {
    refusal(status).is_some()
}

/// The code a service refused with, and the milliseconds to wait, from the details.
fn refusal(status: &Status) -> Option<(ErrorCode, u64)> {
    let details = pb::Status::decode(status.details()).ok()?;
    let mut entries = details.details.iter();
    let info = entries.find(|d| d.type_url == ERROR_INFO_URL)?;
    let info = pb::ErrorInfo::decode(info.value.as_slice()).ok()?;
    if info.domain != DOMAIN {
        return None;
    }
    let wait = info
        .metadata
        .get(RETRY_AFTER)
        .and_then(|ms| ms.parse().ok());
    Some((ErrorCode::from_code(&info.reason)?, wait.unwrap_or(0)))
}

fn any(type_url: &str, message: &impl Message) -> prost_types::Any {
    prost_types::Any {
        type_url: type_url.to_owned(),
        value: message.encode_to_vec(),
    }
}

/// The nearest code for a status that some other party produced (a transport, a proxy).
fn code_of(code: Code) -> ErrorCode {
    match code {
        Code::InvalidArgument | Code::OutOfRange => ErrorCode::InvalidParams,
        Code::Unauthenticated => ErrorCode::Unauthorized,
        Code::PermissionDenied => ErrorCode::Forbidden,
        Code::NotFound => ErrorCode::NotFound,
        Code::ResourceExhausted => ErrorCode::RateLimited,
        Code::Unavailable | Code::Cancelled => ErrorCode::ServiceUnavailable,
        Code::DeadlineExceeded => ErrorCode::Timeout,
        Code::Aborted => ErrorCode::VersionConflict,
        _ => ErrorCode::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_survives_the_wire() {
        for code in ErrorCode::ALL.iter().filter(|c| c.number() != 3001) {
            let error =
                Error::new(*code, "a sentence").after(u64::from(code.http_status() == 429) * 1_500);
            let status = status_from(&error);
            assert_eq!(status.code() as i32, code.grpc() as i32);
            assert_eq!(error_from(&status), error);
        }
    }

    #[test]
    fn the_wire_enum_knows_every_number() {
        for code in ErrorCode::ALL {
            let wire = gochat_proto::common::v1::ErrorCode::try_from(code.number());
            assert!(wire.is_ok(), "{code} has a number the protos don't know");
        }
    }

    #[test]
    fn hostile_details_fall_back_to_the_status_code() {
        let status = Status::with_details(Code::NotFound, "x", vec![0xff; 32].into());
        assert_eq!(error_from(&status).code, ErrorCode::NotFound);
    }
}
